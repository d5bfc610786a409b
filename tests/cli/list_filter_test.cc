#include "cli/list_filter.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::cli {
namespace {

const std::vector<std::string> kKeys = {"dangling", "label", "label!", "until"};

TEST(ListFilterTest, RefusesWhatItDoesNotKnow) {
  EXPECT_THROW(ListFilter({"dangling"}, kKeys), Error);
  try {
    ListFilter({"danglin=true"}, kKeys);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kFailed);
    EXPECT_EQ(error.message(), "invalid filter \"danglin\"");
    EXPECT_EQ(error.hint(), "did you mean dangling?");
  }
}

TEST(ListFilterTest, Booleans) {
  EXPECT_EQ(ListFilter({}, kKeys).Bool("dangling"), std::nullopt);
  EXPECT_EQ(ListFilter({"dangling=1"}, kKeys).Bool("dangling"), true);
  EXPECT_EQ(ListFilter({"dangling=False"}, kKeys).Bool("dangling"), false);
  EXPECT_THROW(ListFilter({"dangling=no"}, kKeys).Bool("dangling"), Error);
  EXPECT_THROW(ListFilter({"dangling=1", "dangling=0"}, kKeys).Bool("dangling"),
               Error);
}

TEST(ListFilterTest, AllLabelsMustHold) {
  const std::map<std::string, std::string> labels = {{"a", "1"}, {"b", ""}};
  const auto matches = [&](const std::vector<std::string>& words) {
    return ListFilter(words, kKeys).MatchesLabels(labels);
  };
  EXPECT_TRUE(matches({"label=a"}));
  EXPECT_TRUE(matches({"label=a=1", "label=b"}));
  EXPECT_FALSE(matches({"label=a=1", "label=c"}));
  EXPECT_FALSE(matches({"label=a=2"}));
  EXPECT_FALSE(matches({"label!=a"}));
  EXPECT_TRUE(matches({"label!=a=2"}));
}

TEST(ListFilterTest, Moments) {
  constexpr int64_t kNow = 1'700'000'000;
  EXPECT_EQ(ParseMoment("24h", kNow), kNow - 86400);
  EXPECT_EQ(ParseMoment("1h30m", kNow), kNow - 5400);
  EXPECT_EQ(ParseMoment("1500ms", kNow), kNow - 1);
  EXPECT_EQ(ParseMoment("2024-01-01T00:00:00Z", kNow), 1704067200);
  EXPECT_EQ(ParseMoment("1704067200", kNow), 1704067200);
  EXPECT_EQ(ParseMoment("1704067200.5", kNow), 1704067200);
  EXPECT_NO_THROW(ParseMoment("2024-01-01", kNow));
  EXPECT_NO_THROW(ParseMoment("2024-01-01T10:00", kNow));
  for (const char* text : {"", "x", "24", "h", "24x", "2024-13-01", "1h-"}) {
    if (std::string(text) == "24") continue;  // seconds since 1970
    EXPECT_THROW(ParseMoment(text, kNow), Error) << text;
  }
}

TEST(ListFilterTest, TheEarliestUntilCounts) {
  EXPECT_EQ(ListFilter({"until=10", "until=5"}, kKeys).Until(100), 5);
}

}  // namespace
}  // namespace imgbuild::cli
