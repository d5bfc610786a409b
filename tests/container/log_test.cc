// Logs in conmon's format, and how health goes on from probe to probe.
#include "container/log.h"

#include <gtest/gtest.h>

#include "imgbuild/container/run.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "container/health.h"

namespace imgbuild::container {
namespace {

TEST(LogLineTest, Forms) {
  const auto line =
      ParseLogLine("2026-11-25T14:47:25.600977553+00:00 stderr P some  text ");
  ASSERT_TRUE(line);
  EXPECT_EQ(line->stream, 2);
  EXPECT_TRUE(line->partial);
  EXPECT_EQ(line->text, "some  text ");
  EXPECT_EQ(FormatNs(line->time_ns), "2026-11-25T14:47:25.600977553Z");
  EXPECT_EQ(ParseLogLine("2026-11-25T14:47:25Z stdout F ")->text, "");
  for (const char* bad :
       {"", "x", "2026-11-25T14:47:25Z stdout F", "now stdout F x",
        "2026-11-25T14:47:25Z stdin F x", "2026-11-25T14:47:25Z stdout X x"}) {
    EXPECT_FALSE(ParseLogLine(bad)) << bad;
  }
}

TEST(LogWriterTest, WhatIsWrittenIsReadBack) {
  const fs::TempDir dir = fs::TempDir::InTmp();
  const std::string path = dir.path() + "/log";
  {
    LogWriter writer(path);
    writer.Write(1, "one\ntwo");
    writer.Write(2, "err\n");
  }
  std::string tags;
  const std::string text = fs::ReadFile(dir.fd(), "log", 4096);
  size_t at = 0;
  for (size_t end; (end = text.find('\n', at)) != std::string::npos;
       at = end + 1) {
    const auto line = ParseLogLine(text.substr(at, end - at));
    ASSERT_TRUE(line) << text;
    tags += std::to_string(line->stream) + (line->partial ? "P" : "F") +
            line->text + ";";
  }
  EXPECT_EQ(tags, "1Fone;1Ptwo;2Ferr;");
}

TEST(LogTimeTest, Forms) {
  constexpr int64_t kNow = 1'000'000'000'000'000'000;
  EXPECT_EQ(ParseLogTime("10s", kNow), kNow - 10'000'000'000);
  EXPECT_EQ(ParseLogTime("1764000000", kNow), 1764000000'000000000);
  EXPECT_EQ(FormatNs(ParseLogTime("2026-11-25T12:00:00Z", kNow)),
            "2026-11-25T12:00:00.000000000Z");
  EXPECT_EQ(FormatNs(ParseLogTime("2026-11-25", kNow)),
            "2026-11-25T00:00:00.000000000Z");
  EXPECT_THROW(ParseLogTime("yesterday", kNow), Error);
}

Health::Probe Probe(int exit_code) { return {"s", "e", exit_code, "out"}; }

TEST(HealthTest, UnhealthyAfterRetriesHealthyAtOnce) {
  Health health;
  health.status = "starting";
  health = NextHealth(health, Probe(1), 2, false);
  EXPECT_EQ(health.status, "starting");
  health = NextHealth(health, Probe(1), 2, false);
  EXPECT_EQ(health.status, "unhealthy");
  EXPECT_EQ(health.failing, 2);
  health = NextHealth(health, Probe(0), 2, false);
  EXPECT_EQ(health.status, "healthy");
  EXPECT_EQ(health.failing, 0);
}

TEST(HealthTest, FailuresInTheStartPeriodDoNotCount) {
  Health health;
  health.status = "starting";
  for (int i = 0; i < 9; ++i) health = NextHealth(health, Probe(1), 1, true);
  EXPECT_EQ(health.status, "starting");
  EXPECT_EQ(health.log.size(), 5u);
  health = NextHealth(health, Probe(0), 1, true);
  // A success ends the starting.
  health = NextHealth(health, Probe(1), 1, true);
  EXPECT_EQ(health.status, "unhealthy");
}

TEST(HealthTest, JsonKeepsIt) {
  Health health;
  health.status = "healthy";
  health.log = {Probe(3)};
  const auto back = HealthFromJson(ToJson(health));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->status, "healthy");
  EXPECT_EQ(back->log.at(0).exit_code, 3);
  EXPECT_FALSE(HealthFromJson("{"));
}

}  // namespace
}  // namespace imgbuild::container
