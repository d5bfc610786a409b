#include "cli/sarif.h"

#include <gtest/gtest.h>

#include <memory>

#include <nlohmann/json.hpp>

namespace imgbuild::cli {
namespace {

using Json = nlohmann::json;

TEST(SarifTest, NothingFound) {
  const Json document = Json::parse(ToSarif({{"A", "a", "", ""}}, {}));
  EXPECT_EQ(document["version"], "2.1.0");
  const Json& run = document["runs"][0];
  EXPECT_EQ(run["tool"]["driver"]["name"], "imgbuild");
  EXPECT_TRUE(run["tool"]["driver"]["rules"].empty());
  // Readers tell "nothing found" from "did not run" by the empty array.
  EXPECT_TRUE(run["results"].is_array());
  EXPECT_TRUE(run["results"].empty());
}

TEST(SarifTest, RulesAreThoseThatFired) {
  const Json document = Json::parse(
      ToSarif({{"A", "about a", "", ""},
               {"B", "about b", "long text", "https://example.com/b"}},
              {{"B", SarifLevel::kError, "bad", "Dockerfile.lock", {}}}));
  const Json& run = document["runs"][0];
  const Json& rules = run["tool"]["driver"]["rules"];
  ASSERT_EQ(rules.size(), 1u);
  EXPECT_EQ(rules[0]["id"], "B");
  EXPECT_EQ(rules[0]["shortDescription"]["text"], "about b");
  EXPECT_EQ(rules[0]["help"]["text"], "long text");
  EXPECT_EQ(rules[0]["helpUri"], "https://example.com/b");
  const Json& result = run["results"][0];
  EXPECT_EQ(result["ruleId"], "B");
  EXPECT_EQ(result["ruleIndex"], 0);
  EXPECT_EQ(result["level"], "error");
  EXPECT_EQ(result["message"]["text"], "bad");
  const Json& where = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(where["artifactLocation"]["uri"], "Dockerfile.lock");
  EXPECT_FALSE(where.contains("region"));
}

TEST(SarifTest, PlacesCountCodePoints) {
  const auto file = std::make_shared<SourceFile>("./a b/Dockerfile",
                                                 "FROM x\nRUN \xC3\xA4 bad\n");
  const Json document = Json::parse(
      ToSarif({}, {{"A", SarifLevel::kNote, "m", "",
                    SourceRange(file, SourcePos{2, 8}, SourcePos{2, 11})}}));
  const Json& result = document["runs"][0]["results"][0];
  const Json& where = result["locations"][0]["physicalLocation"];
  EXPECT_EQ(where["artifactLocation"]["uri"], "a%20b/Dockerfile");
  EXPECT_EQ(where["region"], (Json{{"startLine", 2},
                                   {"startColumn", 7},
                                   {"endLine", 2},
                                   {"endColumn", 10}}));
  EXPECT_EQ(document["runs"][0]["columnKind"], "unicodeCodePoints");
}

TEST(SarifTest, BytesThatAreNoUtf8) {
  const Json document =
      Json::parse(ToSarif({}, {{"A", SarifLevel::kNote, "\xFF!", "", {}}}));
  const Json& result = document["runs"][0]["results"][0];
  EXPECT_EQ(result["message"]["text"], "\xEF\xBF\xBD!");
  EXPECT_FALSE(result.contains("locations"));
}

}  // namespace
}  // namespace imgbuild::cli
