#include "imgbuild/util/error.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace imgbuild {
namespace {

SourceRange RangeIn(const std::string& text, const std::string& part) {
  auto file = std::make_shared<SourceFile>("Dockerfile", text);
  const size_t at = text.find(part);
  return SourceRange::FromOffsets(file, at, at + part.size());
}

TEST(Error, RendersTheMessageAlone) {
  EXPECT_EQ(Error(ErrorCode::kHost, "no such image").Render(),
            "error: no such image\n");
}

TEST(Error, RendersEverythingInItsPlace) {
  std::string text;
  for (int i = 1; i < 12; ++i) text += "RUN " + std::to_string(i) + "\n";
  text += "COPY src/main.c /app/\n";
  Error error(ErrorCode::kDockerfile,
              "COPY: \"src/main.c\" is not in the build context");
  error.At(RangeIn(text, "src/main.c"))
      .While("while planning stage \"builder\" (step 4 of 7)")
      .While("while building \"app\"")
      .WithHint(".dockerignore line 3 (\"src/\") excludes it");
  EXPECT_EQ(error.Render(),
            "error: COPY: \"src/main.c\" is not in the build context\n"
            "  --> Dockerfile:12:6\n"
            "   |\n"
            "12 | COPY src/main.c /app/\n"
            "   |      ^^^^^^^^^^\n"
            "   = while planning stage \"builder\" (step 4 of 7)\n"
            "   = while building \"app\"\n"
            "   = hint: .dockerignore line 3 (\"src/\") excludes it\n");
}

TEST(Error, AlignsTheFramesWithAOneDigitLineNumber) {
  Error error(ErrorCode::kDockerfile, "unknown instruction \"FORM\"");
  error.At(RangeIn("FORM x\n", "FORM")).WithHint("did you mean \"FROM\"?");
  EXPECT_EQ(error.Render(),
            "error: unknown instruction \"FORM\"\n"
            " --> Dockerfile:1:1\n"
            "  |\n"
            "1 | FORM x\n"
            "  | ^^^^\n"
            "  = hint: did you mean \"FROM\"?\n");
}

TEST(Error, RendersFramesWithoutAPlace) {
  Error error(ErrorCode::kHost, "x");
  error.While("while loading").WithHint("first\nsecond");
  EXPECT_EQ(error.Render(),
            "error: x\n"
            "   = while loading\n"
            "   = hint: first\n"
            "     second\n");
}

TEST(Error, RendersNotesBehindTheMessage) {
  Error error(ErrorCode::kStep, "the command failed: exit code 2");
  error.WithNote("make: no rule\nmake: stopped\n").WithNote("last");
  EXPECT_EQ(error.Render(),
            "error: the command failed: exit code 2\n"
            "  make: no rule\n"
            "  make: stopped\n"
            "  last\n");
}

TEST(Error, CannotDriveTheTerminal) {
  Error error(ErrorCode::kRegistry, "server says \x1b[2J\x07\x7f\xc2\x9b\r!");
  error.WithNote("a\tb\x1b]0;x");
  EXPECT_EQ(error.Render(),
            "error: server says ?[2J???\x3f!\n"
            "  a\tb?]0;x\n");
}

TEST(Error, KeepsUtf8) {
  EXPECT_EQ(Error(ErrorCode::kHost, "\xc3\xa4 \xe2\x82\xac \xc2\xa0").Render(),
            "error: \xc3\xa4 \xe2\x82\xac \xc2\xa0\n");
}

TEST(Error, KeepsTheInnermostPlace) {
  const SourceRange inner = RangeIn("a\nb\n", "b");
  const SourceRange outer = RangeIn("a\nb\n", "a");
  Error error(ErrorCode::kHost, "x");
  error.At(SourceRange()).At(inner).At(outer);
  EXPECT_EQ(error.range().begin().line, 2u);
}

TEST(Error, WhatIsTheMessage) {
  Error error(ErrorCode::kUsage, "bad flag");
  error.WithHint("h").Temporary();
  EXPECT_STREQ(error.what(), "bad flag");
  EXPECT_EQ(error.code(), ErrorCode::kUsage);
  EXPECT_TRUE(error.temporary());
  error.Temporary(false);
  EXPECT_FALSE(error.temporary());
}

TEST(Error, CodesAreTheExitStatuses) {
  EXPECT_EQ(static_cast<int>(ErrorCode::kStep), 1);
  EXPECT_EQ(static_cast<int>(ErrorCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ErrorCode::kDockerfile), 3);
  EXPECT_EQ(static_cast<int>(ErrorCode::kRegistry), 4);
  EXPECT_EQ(static_cast<int>(ErrorCode::kHost), 5);
  EXPECT_EQ(static_cast<int>(ErrorCode::kPolicy), 6);
  EXPECT_EQ(static_cast<int>(ErrorCode::kInterrupted), 130);
}

TEST(ErrnoError, SaysOperationObjectReason) {
  EXPECT_EQ(ErrnoError("open", "/x/y", ENOENT).message(),
            "open \"/x/y\": no such file or directory");
  EXPECT_EQ(ErrnoError("fork", "", EAGAIN).message(),
            "fork: resource temporarily unavailable");
  EXPECT_EQ(ErrnoError("open", "a\nb", EACCES).message(),
            "open \"a\\nb\": permission denied");
  EXPECT_EQ(ErrnoError("x", "", 99999).message(), "x: error 99999");
  EXPECT_EQ(ErrnoError("x", "", EINVAL, ErrorCode::kUsage).code(),
            ErrorCode::kUsage);
}

TEST(ErrnoError, HintsAtAFullDisk) {
  EXPECT_EQ(ErrnoError("write", "f", ENOSPC).Render(),
            "error: write \"f\": no space left on device\n"
            "   = hint: free some disk space and try again\n");
  EXPECT_EQ(ErrnoError("write", "f", EDQUOT).hint(),
            "free some disk space or ask for a larger quota");
  EXPECT_EQ(ErrnoError("write", "f", EIO).hint(), "");
}

}  // namespace
}  // namespace imgbuild
