#include "imgbuild/oci/platform.h"

#include <gtest/gtest.h>

#include <map>

#include "imgbuild/util/error.h"

namespace imgbuild::oci {
namespace {

std::string Normal(const std::string& text) {
  return Platform::Parse(text).ToString();
}

TEST(Platform, ParsesAndNormalises) {
  const struct {
    const char* text;
    const char* normal;
  } kCases[] = {
      {"linux/amd64", "linux/amd64"},
      {"Linux/AMD64", "linux/amd64"},
      {"linux/x86_64", "linux/amd64"},
      {"linux/x86-64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"},
      {"linux/amd64/v2", "linux/amd64/v2"},
      {"linux/amd64/V3", "linux/amd64/v3"},
      {"linux/i386", "linux/386"},
      {"linux/386", "linux/386"},
      {"linux/aarch64", "linux/arm64"},
      {"linux/arm64", "linux/arm64"},
      {"linux/arm64/8", "linux/arm64"},
      {"linux/arm64/v8", "linux/arm64"},
      {"linux/arm64/v8.0", "linux/arm64"},
      {"linux/arm64/v8.2", "linux/arm64/v8.2"},
      {"linux/arm64/9", "linux/arm64/v9"},
      {"linux/arm64/9.0", "linux/arm64/v9"},
      {"linux/arm64/v9.0", "linux/arm64/v9"},
      {"linux/arm64/v9.2", "linux/arm64/v9.2"},
      {"linux/arm", "linux/arm/v7"},
      {"linux/arm/7", "linux/arm/v7"},
      {"linux/arm/5", "linux/arm/v5"},
      {"linux/arm/v6", "linux/arm/v6"},
      {"linux/arm/8", "linux/arm/v8"},
      {"linux/armhf", "linux/arm/v7"},
      {"linux/armel", "linux/arm/v6"},
      {"macos/arm64", "darwin/arm64"},
      {"linux/riscv64", "linux/riscv64"},
      {"linux/ppc64le", "linux/ppc64le"},
      {"linux/made-up", "linux/made-up"},
      {"windows/amd64", "windows/amd64"},
      {"windows(10.0.17763)/amd64", "windows/amd64"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Normal(c.text), c.normal) << c.text;
}

TEST(Platform, TakesTheRestFromTheHost) {
  const Platform host = Platform::Host();
  EXPECT_EQ(host.os, "linux");
  EXPECT_EQ(host, host.Normalized());
  EXPECT_EQ(Platform::Parse("linux"), host);
  EXPECT_EQ(Platform::Parse("windows").architecture, host.architecture);
  EXPECT_EQ(Platform::Parse("macos").os, "darwin");
  EXPECT_EQ(Normal("amd64"), "linux/amd64");
  EXPECT_EQ(Normal("x86_64"), "linux/amd64");
  EXPECT_EQ(Normal("aarch64"), "linux/arm64");
  EXPECT_EQ(Normal("arm"), "linux/arm/v7");
  EXPECT_EQ(Normal("armel"), "linux/arm/v6");
  EXPECT_EQ(Normal("s390x"), "linux/s390x");
}

TEST(Platform, ParsesVersionsAndFeatures) {
  const Platform platform =
      Platform::Parse("windows(10.0.17763.1+win32k+more)/amd64");
  EXPECT_EQ(platform.os, "windows");
  EXPECT_EQ(platform.os_version, "10.0.17763.1");
  EXPECT_EQ(platform.os_features, (std::vector<std::string>{"win32k", "more"}));
  EXPECT_EQ(Platform::Parse("windows(+a)/amd64").os_version, "");
}

TEST(Platform, RefusesByName) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"", "invalid platform \"\": bad operating system name"},
      {"bogus",
       "invalid platform \"bogus\": unknown operating system or architecture"},
      {"linux/", "invalid platform \"linux/\": bad part \"\""},
      {"/amd64", "invalid platform \"/amd64\": bad operating system name"},
      {"linux/arm/v7/x",
       "invalid platform \"linux/arm/v7/x\": more than three parts"},
      {"linux/*", "invalid platform \"linux/*\": wildcards are not supported"},
      {"linux/am d64",
       "invalid platform \"linux/am d64\": bad part \"am d64\""},
      {"linux,linux/arm64",
       "invalid platform \"linux,linux/arm64\": bad operating system name"},
      {"windows(10/amd64",
       "invalid platform \"windows(10/amd64\": \"(\" without \")\""},
      {"windows(1 0)/amd64",
       "invalid platform \"windows(1 0)/amd64\": bad version \"1 0\""},
      {"windows(10+)/amd64",
       "invalid platform \"windows(10+)/amd64\": bad version \"\""},
  };
  for (const auto& c : kCases) {
    try {
      Platform::Parse(c.text);
      FAIL() << c.text;
    } catch (const Error& e) {
      EXPECT_EQ(e.message(), c.message);
      EXPECT_EQ(e.code(), ErrorCode::kUsage);
      EXPECT_EQ(e.hint(),
                "write OS/ARCH or OS/ARCH/VARIANT, as in linux/arm64");
    }
  }
}

// What `wanted` accepts, best first, among everything that is ever offered.
std::string Accepted(const std::string& wanted) {
  const char* kOffered[] = {
      "linux/386",         "linux/amd64",      "linux/amd64/v2",
      "linux/amd64/v3",    "linux/amd64/v4",   "linux/arm/v5",
      "linux/arm/v6",      "linux/arm/v7",     "linux/arm/v8",
      "linux/arm64",       "linux/arm64/v8.1", "linux/arm64/v8.2",
      "linux/arm64/v8.5",  "linux/arm64/v8.6", "linux/arm64/v8.9",
      "linux/arm64/v8.12", "linux/arm64/v9",   "linux/arm64/v9.1",
      "linux/arm64/v9.2",  "linux/riscv64",    "linux/s390x",
      "windows/amd64"};
  std::map<int, std::string> by_rank;
  for (const char* offered : kOffered) {
    const auto rank =
        MatchRank(Platform::Parse(wanted), Platform::Parse(offered));
    if (rank) by_rank[*rank] += std::string(offered).substr(6) + " ";
  }
  std::string out;
  for (const auto& [rank, names] : by_rank) out += names;
  return out;
}

TEST(MatchRank, PrefersTheNearest) {
  EXPECT_EQ(Accepted("linux/amd64"), "amd64 386 ");
  EXPECT_EQ(Accepted("linux/amd64/v1"), "amd64 386 ");
  EXPECT_EQ(Accepted("linux/amd64/v2"), "amd64/v2 amd64 386 ");
  EXPECT_EQ(Accepted("linux/amd64/v3"), "amd64/v3 amd64/v2 amd64 386 ");
  EXPECT_EQ(Accepted("linux/386"), "386 ");
  EXPECT_EQ(Accepted("linux/arm64"), "arm64 arm/v8 arm/v7 arm/v6 arm/v5 ");
  EXPECT_EQ(Accepted("linux/arm64/v8.2"),
            "arm64/v8.2 arm64/v8.1 arm64 arm/v8 arm/v7 arm/v6 arm/v5 ");
  EXPECT_EQ(Accepted("linux/arm64/v9"),
            "arm64/v9 arm64/v8.5 arm64/v8.2 arm64/v8.1 arm64 arm/v8 arm/v7 "
            "arm/v6 arm/v5 ");
  EXPECT_EQ(Accepted("linux/arm64/v9.1"),
            "arm64/v9.1 arm64/v9 arm64/v8.6 arm64/v8.5 arm64/v8.2 arm64/v8.1 "
            "arm64 arm/v8 arm/v7 arm/v6 arm/v5 ");
  // Capped: there is no Armv8.10.
  EXPECT_EQ(Accepted("linux/arm64/v9.7").substr(0, 31),
            "arm64/v9.2 arm64/v9.1 arm64/v9 ");
  EXPECT_NE(Accepted("linux/arm64/v9.7").find("v8.9"), std::string::npos);
  EXPECT_EQ(Accepted("linux/arm64/v9.7").find("v8.12"), std::string::npos);
  EXPECT_EQ(Accepted("linux/arm"), "arm/v7 arm/v6 arm/v5 ");
  EXPECT_EQ(Accepted("linux/arm/v8"), "arm/v8 arm/v7 arm/v6 arm/v5 ");
  EXPECT_EQ(Accepted("linux/arm/v6"), "arm/v6 arm/v5 ");
  EXPECT_EQ(Accepted("linux/arm/v5"), "arm/v5 ");
  EXPECT_EQ(Accepted("linux/riscv64"), "riscv64 ");
  EXPECT_EQ(Accepted("linux/mips64"), "");
}

TEST(MatchRank, NormalisesBothSides) {
  const Platform raw{.os = "Linux",
                     .architecture = "aarch64",
                     .variant = "v8",
                     .os_version = "",
                     .os_features = {}};
  EXPECT_EQ(MatchRank(Platform::Parse("linux/arm64"), raw), 0);
  EXPECT_EQ(MatchRank(raw, Platform::Parse("linux/arm64")), 0);
}

TEST(MatchRank, WindowsBuildsMustAgree) {
  const auto rank = [](const char* wanted, const char* offered) {
    return MatchRank(Platform::Parse(wanted), Platform::Parse(offered))
        .has_value();
  };
  EXPECT_TRUE(
      rank("windows(10.0.17763.1)/amd64", "windows(10.0.17763.99)/amd64"));
  EXPECT_FALSE(
      rank("windows(10.0.17763.1)/amd64", "windows(10.0.20348.1)/amd64"));
  EXPECT_TRUE(rank("windows/amd64", "windows(10.0.20348.1)/amd64"));
  EXPECT_TRUE(rank("windows(10.0.17763)/amd64", "windows/amd64"));
  // Others do not care.
  EXPECT_TRUE(rank("linux(1.2)/amd64", "linux(3.4)/amd64"));
}

TEST(MatchRank, OfferedFeaturesMustBeWanted) {
  const Platform plain = Platform::Parse("windows/amd64");
  const Platform win32k = Platform::Parse("windows(+win32k)/amd64");
  EXPECT_FALSE(MatchRank(plain, win32k).has_value());
  EXPECT_TRUE(MatchRank(win32k, plain).has_value());
  EXPECT_TRUE(MatchRank(win32k, win32k).has_value());
}

}  // namespace
}  // namespace imgbuild::oci
