#include "imgbuild/util/strings.h"

#include <gtest/gtest.h>

namespace imgbuild {
namespace {

using Strings = std::vector<std::string>;

TEST(Strings, SplitKeepsEmptyParts) {
  EXPECT_EQ(Split("a,,b", ','), (Strings{"a", "", "b"}));
  EXPECT_EQ(Split("", ','), (Strings{""}));
  EXPECT_EQ(Split(",", ','), (Strings{"", ""}));
  EXPECT_EQ(Join({"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(Join({}, ","), "");
}

TEST(Strings, TrimsAndFolds) {
  EXPECT_EQ(Trim(" \t\r\n\v\fa b\n"), "a b");
  EXPECT_EQ(Trim("  "), "");
  EXPECT_EQ(ToLower("AbZ\xc3\x84_9"), "abz\xc3\x84_9");
  EXPECT_TRUE(EqualsIgnoreCase("FrOm", "fRoM"));
  EXPECT_FALSE(EqualsIgnoreCase("from", "fro"));
  EXPECT_FALSE(EqualsIgnoreCase("[", "{"));
}

TEST(Strings, ParsesWholeNumbersOnly) {
  EXPECT_EQ(ParseUint("0"), 0u);
  EXPECT_EQ(ParseUint("18446744073709551615"), 18446744073709551615u);
  EXPECT_EQ(ParseInt("-9223372036854775808"), INT64_MIN);
  for (const char* bad : {"", " 1", "1 ", "+1", "1.0", "0x1", "1a", "-",
                          "18446744073709551616"}) {
    EXPECT_EQ(ParseUint(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(ParseUint("-1"), std::nullopt);
  EXPECT_EQ(ParseInt("9223372036854775808"), std::nullopt);
}

TEST(Strings, ParsesByteSizes) {
  const struct {
    const char* text;
    std::optional<uint64_t> expected;
  } kCases[] = {
      {"0", 0},
      {"32", 32},
      {"32b", 32},
      {"32B", 32},
      {"32k", 32768},
      {"32K", 32768},
      {"32kb", 32768},
      {"32KiB", 32768},
      {"32Kib", 32768},
      {"32 k", 32768},
      {"32mb", 33554432},
      {"2GiB", 2147483648},
      {"32t", 35184372088832},
      {"32Pb", 36028797018963968},
      {"0.5g", 536870912},
      {"1.5k", 1536},
      {"16777215T", 16777215ull << 40},
      {"16777216T", std::nullopt},
      {"", std::nullopt},
      {"k", std::nullopt},
      {"hello", std::nullopt},
      {"-32", std::nullopt},
      {"+32", std::nullopt},
      {" 32", std::nullopt},
      {"32 ", 32},
      {"32  k", std::nullopt},
      {"32m b", std::nullopt},
      {"32bm", std::nullopt},
      {"32kbb", std::nullopt},
      {"32ib", std::nullopt},
      {".3k", std::nullopt},
      {"3.k", std::nullopt},
      {"1.2.3", std::nullopt},
      {"1e3", std::nullopt},
      {"99999999999999999999", std::nullopt},
      {"99999999999999999999.5", std::nullopt},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(ParseByteSize(c.text), c.expected) << c.text;
  }
}

TEST(Strings, SuggestsTheNearestName) {
  const Strings kNames = {"FROM", "RUN", "COPY", "ENTRYPOINT", "ENV", "ADD"};
  EXPECT_EQ(Suggest("FORM", kNames), "FROM");
  EXPECT_EQ(Suggest("form", kNames), "FROM");
  EXPECT_EQ(Suggest("RNU", kNames), "RUN");
  EXPECT_EQ(Suggest("COPPY", kNames), "COPY");
  EXPECT_EQ(Suggest("ENTRYPIONT", kNames), "ENTRYPOINT");
  EXPECT_EQ(Suggest("ENTPYPIONTS", kNames), std::nullopt);  // three mistakes
  EXPECT_EQ(Suggest("MAINTAINER", kNames), std::nullopt);
  EXPECT_EQ(Suggest("X", kNames), std::nullopt);
  EXPECT_EQ(Suggest("", kNames), std::nullopt);
  EXPECT_EQ(Suggest("RUN", {}), std::nullopt);
  EXPECT_EQ(Suggest("ab1", {"ab2", "ab3"}), "ab2");  // the first of equals
}

TEST(Strings, QuotesForErrorTexts) {
  EXPECT_EQ(Quoted("a b"), "\"a b\"");
  EXPECT_EQ(Quoted(""), "\"\"");
  EXPECT_EQ(Quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(Quoted("\n\t\r"), "\"\\n\\t\\r\"");
  EXPECT_EQ(Quoted(std::string_view("\x00\x1b\x7f", 3)), "\"\\x00\\x1b\\x7f\"");
  EXPECT_EQ(Quoted("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
            "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
  // Broken UTF-8, overlong forms, surrogates, C1 controls.
  EXPECT_EQ(Quoted("\xff"), "\"\\xff\"");
  EXPECT_EQ(Quoted("\xc3"), "\"\\xc3\"");
  EXPECT_EQ(Quoted("\xc0\xaf"), "\"\\xc0\\xaf\"");
  EXPECT_EQ(Quoted("\xe0\x80\xaf"), "\"\\xe0\\x80\\xaf\"");
  EXPECT_EQ(Quoted("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");
  EXPECT_EQ(Quoted("\xf5\x80\x80\x80"), "\"\\xf5\\x80\\x80\\x80\"");
  EXPECT_EQ(Quoted("\xc2\x9b"), "\"\\xc2\\x9b\"");
}

TEST(Strings, PrintsSizesAsDockerDoes) {
  const struct {
    uint64_t bytes;
    const char* expected;
  } kCases[] = {
      {0, "0B"},
      {1, "1B"},
      {999, "999B"},
      {1000, "1kB"},
      {1024, "1.02kB"},
      {12345, "12.3kB"},
      {123456, "123kB"},
      {999499, "999kB"},
      // Three digits of 999.999 are 1e+03, and that is what Docker prints.
      {999999, "1e+03kB"},
      {1000000, "1MB"},
      {1981234, "1.98MB"},
      {577000000, "577MB"},
      {2746000000, "2.75GB"},
      {1000000000000, "1TB"},
      {18446744073709551615ull, "18.4EB"},
  };
  for (const auto& c : kCases) EXPECT_EQ(HumanSize(c.bytes), c.expected);
}

TEST(Strings, PrintsDurationsAsDockerDoes) {
  constexpr int64_t kMinute = 60;
  constexpr int64_t kHour = 3600;
  constexpr int64_t kDay = 24 * kHour;
  const struct {
    int64_t seconds;
    const char* expected;
  } kCases[] = {
      {-5, "Less than a second"},
      {0, "Less than a second"},
      {1, "1 second"},
      {2, "2 seconds"},
      {45, "45 seconds"},
      {59, "59 seconds"},
      {kMinute, "About a minute"},
      {119, "About a minute"},
      {2 * kMinute, "2 minutes"},
      {59 * kMinute + 59, "59 minutes"},
      {kHour, "About an hour"},
      {kHour + 29 * kMinute, "About an hour"},
      {kHour + 30 * kMinute, "2 hours"},
      {3 * kHour, "3 hours"},
      {47 * kHour, "47 hours"},
      {2 * kDay, "2 days"},
      {13 * kDay, "13 days"},
      {14 * kDay, "2 weeks"},
      {59 * kDay, "8 weeks"},
      {60 * kDay, "2 months"},
      {364 * kDay, "12 months"},
      {729 * kDay, "24 months"},
      {2 * 365 * kDay, "2 years"},
      {46 * 365 * kDay, "46 years"},
  };
  for (const auto& c : kCases) EXPECT_EQ(HumanDuration(c.seconds), c.expected);
}

TEST(Rfc3339, FormatsAndParses) {
  const struct {
    int64_t seconds;
    const char* text;
  } kCases[] = {
      {0, "1970-01-01T00:00:00Z"},
      {-1, "1969-12-31T23:59:59Z"},
      {315532800, "1980-01-01T00:00:00Z"},
      {951782400, "2000-02-29T00:00:00Z"},
      {1709251199, "2024-02-29T23:59:59Z"},
      {4102444800, "2100-01-01T00:00:00Z"},
      {4107542400, "2100-03-01T00:00:00Z"},
      {-62167219200, "0000-01-01T00:00:00Z"},
      {253402300799, "9999-12-31T23:59:59Z"},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(FormatRfc3339(c.seconds), c.text);
    EXPECT_EQ(ParseRfc3339(c.text), c.seconds) << c.text;
  }
  EXPECT_EQ(FormatRfc3339(253402300800), "10000-01-01T00:00:00Z");
}

TEST(Rfc3339, ReadsFractionsAndZones) {
  EXPECT_EQ(ParseRfc3339("1970-01-01T00:00:01.999999999Z"), 1);
  EXPECT_EQ(ParseRfc3339("1970-01-01T01:00:00+01:00"), 0);
  EXPECT_EQ(ParseRfc3339("1969-12-31T23:29:59.5-00:30"), -1);
  EXPECT_EQ(ParseRfc3339("1970-01-01t00:00:00z"), 0);
}

TEST(Rfc3339, RefusesEverythingElse) {
  for (const char* bad : {"",
                          "1970-01-01",
                          "1970-01-01 00:00:00Z",
                          "1970-01-01T00:00:00",
                          "1970-13-01T00:00:00Z",
                          "1970-00-01T00:00:00Z",
                          "1970-01-00T00:00:00Z",
                          "1970-01-32T00:00:00Z",
                          "2023-02-29T00:00:00Z",
                          "2100-02-29T00:00:00Z",
                          "1970-01-01T24:00:00Z",
                          "1970-01-01T00:60:00Z",
                          "1970-01-01T00:00:60Z",
                          "1970-01-01T00:00:00.Z",
                          "1970-01-01T00:00:00+0100",
                          "1970-01-01T00:00:00+24:00",
                          "1970-01-01T00:00:00+00:60",
                          "1970-01-01T00:00:00Zx",
                          " 1970-01-01T00:00:00Z",
                          "70-01-01T00:00:00Z",
                          "1970-1-1T0:0:0Z",
                          "+970-01-01T00:00:00Z"}) {
    EXPECT_EQ(ParseRfc3339(bad), std::nullopt) << bad;
  }
}

TEST(Rfc3339, EveryDayOfFourCenturiesComesBack) {
  for (int64_t day = -719528; day < -719528 + 146097 * 2; ++day) {
    ASSERT_EQ(ParseRfc3339(FormatRfc3339(day * 86400)), day * 86400) << day;
  }
}

}  // namespace
}  // namespace imgbuild
