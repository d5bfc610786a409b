// Progress as lines, for logs: the words that users of `docker build` grep.
//   #4 [builder 2/4] RUN make
//   #4 0.148 cc -c main.c
//   #4 CACHED | DONE 1.2s | ERROR: …
#ifndef IMGBUILD_CLI_PROGRESS_PLAIN_H_
#define IMGBUILD_CLI_PROGRESS_PLAIN_H_

#include <chrono>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "imgbuild/util/progress.h"

namespace imgbuild::cli {

class PlainProgress : public ProgressSink {
 public:
  // `out` is not owned; null shows nothing and only keeps the tails.
  explicit PlainProgress(std::FILE* out) : out_(out) {}

  VertexId AddVertex(const std::string& name) override;
  void Started(VertexId vertex) override;
  void Log(VertexId vertex, int stream, std::string_view bytes) override;
  void Progress(VertexId vertex, std::string_view what, uint64_t done,
                uint64_t total) override;
  void Finished(VertexId vertex, VertexOutcome outcome,
                const std::string& detail) override;
  void Message(const std::string& line) override;
  void Warning(const std::string& line) override;

  // "------\n > [2/2] RUN …:\n0.148 hello\n------\n" of the step that failed;
  // "" when none did. The last 50 lines of its output.
  std::string FailureBlock() const;

 private:
  struct Row {
    std::string name;
    std::chrono::steady_clock::time_point started;
    bool shown = false;
    std::string partial;  // of the last line
    std::deque<std::string> tail;
    bool failed = false;
  };
  void Show(VertexId vertex);
  void Line(VertexId vertex, const std::string& text);

  std::FILE* out_;
  mutable std::mutex mutex_;
  std::deque<Row> rows_;
  VertexId last_ = ~VertexId{0};
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_PROGRESS_PLAIN_H_
