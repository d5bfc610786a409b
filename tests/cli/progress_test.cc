// What the displays print, to the letter.
#include "cli/progress.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <regex>

#include "imgbuild/util/error.h"

#include "cli/progress_json.h"
#include "cli/progress_plain.h"

namespace imgbuild::cli {
namespace {

// A stdio stream into memory.
class Capture {
 public:
  Capture() : file_(::open_memstream(&data_, &size_)) {}
  ~Capture() {
    std::fclose(file_);
    std::free(data_);
  }
  std::FILE* file() { return file_; }
  // Times are masked.
  std::string text() {
    std::fflush(file_);
    std::string out(data_, size_);
    out = std::regex_replace(out, std::regex("[0-9]+\\.[0-9]{3} "), "T ");
    return std::regex_replace(out, std::regex("DONE [0-9.]+s"), "DONE Ts");
  }

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
  std::FILE* file_;
};

TEST(PlainProgressTest, StepsSideBySide) {
  Capture out;
  PlainProgress progress(out.file());
  const VertexId a = progress.AddVertex("[1/2] FROM base");
  const VertexId b = progress.AddVertex("[2/2] RUN make");
  progress.Started(a);
  progress.Finished(a, VertexOutcome::kCached, "");
  progress.Started(b);
  progress.Log(b, 1, "one\ntw");
  progress.Log(b, 2, "o\n");
  progress.Log(b, 1, "no line end");
  progress.Finished(b, VertexOutcome::kDone, "");
  EXPECT_EQ(out.text(),
            "#1 [1/2] FROM base\n"
            "#1 CACHED\n"
            "\n"
            "#2 [2/2] RUN make\n"
            "#2 T one\n"
            "#2 T two\n"
            "#2 T no line end\n"
            "#2 DONE Ts\n");
  EXPECT_EQ(progress.FailureBlock(), "");
}

TEST(PlainProgressTest, AFailureIsShownAgainWithItsLastFiftyLines) {
  Capture out;
  PlainProgress progress(out.file());
  const VertexId a = progress.AddVertex("[2/2] RUN false");
  progress.Started(a);
  for (int i = 0; i < 60; ++i) {
    progress.Log(a, 1, "line " + std::to_string(i) + "\n");
  }
  progress.Finished(a, VertexOutcome::kError, "exit code: 1");
  const std::string block = progress.FailureBlock();
  EXPECT_EQ(block.find("line 9\n"), std::string::npos);
  EXPECT_NE(block.find("line 10\n"), std::string::npos);
  EXPECT_TRUE(block.starts_with("------\n > [2/2] RUN false:\n"));
  EXPECT_TRUE(block.ends_with("line 59\n------\n"));
  EXPECT_NE(out.text().find("#1 ERROR: exit code: 1\n"), std::string::npos);
}

TEST(JsonProgressTest, OneObjectALine) {
  Capture out;
  JsonProgress progress(out.file());
  const VertexId a = progress.AddVertex("[1/1] RUN \"x\"");
  progress.Log(a, 1, "\xff\n");
  progress.Finished(a, VertexOutcome::kCached, "");
  progress.Warning("careful");
  EXPECT_EQ(
      out.text(),
      "{\"event\":\"vertex\",\"id\":0,\"name\":\"[1/1] RUN \\\"x\\\"\"}\n"
      "{\"event\":\"log\",\"id\":0,\"stream\":1,\"data\":\"\xEF\xBF\xBD\\n\"}\n"
      "{\"event\":\"finished\",\"id\":0,\"outcome\":\"cached\",\"detail\":\"\"}"
      "\n{\"event\":\"warning\",\"text\":\"careful\"}\n");
}

TEST(MakeProgressTest, AnUnknownKindNamesTheNearest) {
  try {
    MakeProgress("plan", stderr);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.Render(),
              "error: unknown --progress \"plan\"\n   = hint: did you mean "
              "plain?\n");
  }
}

TEST(TtyProgressTest, TheLastPictureHasEveryRowAndNoControlBytesOfSteps) {
  Capture out;
  const auto display = MakeTtyDisplay(out.file());
  ProgressSink& progress = display->sink();
  const VertexId a = progress.AddVertex("[1/1] RUN \033[31mred");
  progress.Started(a);
  progress.Log(a, 1, "\033[2Jgone\n");
  progress.Finished(a, VertexOutcome::kDone, "");
  display->Close();
  const std::string text = out.text();
  EXPECT_NE(text.find("(1/1)"), std::string::npos);
  EXPECT_NE(text.find(" => [1/1] RUN [31mred"), std::string::npos);
  EXPECT_EQ(text.find("\033[2J"), std::string::npos);
  EXPECT_EQ(text.find("\033[31m"), std::string::npos);
}

}  // namespace
}  // namespace imgbuild::cli
