// What a real builder made of odd words, recorded by tools/record_expand.py.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"

#include "support/recorded_text.h"

namespace imgbuild::dockerfile {
namespace {

// nullopt when it is refused, by the parser or by the expansion.
std::optional<std::string> ValueOf(const std::string& word) {
  static const std::map<std::string, std::string, std::less<>> variables = {
      {"s", "/usr/local/lib/libfoo.tar.gz"},
      {"e", ""},
      {"q", "a*b?c"},
      {"n", "12"},
      {"u", "äöü.tar"},
      {"w", "word"}};
  try {
    const Dockerfile file = Parse(std::make_shared<SourceFile>(
        "Dockerfile", "FROM scratch\nLABEL l=" + word + "\n"));
    const auto& label = std::get<Label>(file.stages[0].instructions[0].node);
    const auto lookup = [&](std::string_view name) {
      const auto found = variables.find(name);
      return found == variables.end() ? std::nullopt
                                      : std::optional(found->second);
    };
    return Expand(label.pairs.at(0).value, lookup, '\\').text;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDockerfile);
    EXPECT_TRUE(error.range());
    return std::nullopt;
  }
}

TEST(ExpandRecorded, IsWhatTheReferenceMakesOfIt) {
  std::ifstream in(std::string(IMGBUILD_TESTDATA) + "/expand/recorded.txt");
  std::string word;
  int values = 0;
  int refused = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("word ")) {
      word = UnquoteRecorded(line.substr(5));
    } else if (line == "refused") {
      EXPECT_EQ(ValueOf(word), std::nullopt) << word;
      ++refused;
    } else {
      EXPECT_EQ(ValueOf(word), UnquoteRecorded(line.substr(6))) << word;
      ++values;
    }
  }
  EXPECT_GT(values, 500);
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace imgbuild::dockerfile
