// What a long-running command tells while it works. Producers (build,
// transfer) send events; `cli` prints them (plain, tty, JSON); tests record
// them. All functions may be called from any thread.
#ifndef IMGBUILD_UTIL_PROGRESS_H_
#define IMGBUILD_UTIL_PROGRESS_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace imgbuild {

// One row of the display: a step of the build, a layer of a pull.
using VertexId = uint32_t;

enum class VertexOutcome { kDone, kCached, kSkipped, kError, kCancelled };

class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  // Announces a row, in display order: "[builder 4/7] RUN make". Returns its
  // id.
  virtual VertexId AddVertex(const std::string& name) = 0;
  virtual void Started(VertexId vertex) = 0;
  // One line or a part of one of the step's own output. stream: 1 or 2.
  virtual void Log(VertexId vertex, int stream, std::string_view bytes) = 0;
  // Bytes done of total (0 when unknown) for the item `what` of the vertex:
  // "sha256:3c…", "context".
  virtual void Progress(VertexId vertex, std::string_view what, uint64_t done,
                        uint64_t total) = 0;
  // Says why: "src/a.c changed" for a miss; an error text for kError.
  virtual void Finished(VertexId vertex, VertexOutcome outcome,
                        const std::string& detail) = 0;
  // A message about no vertex: "Digest: sha256:…", "lock: 5/5 names pinned".
  virtual void Message(const std::string& line) = 0;
  virtual void Warning(const std::string& line) = 0;
};

// Says nothing.
class NullProgress : public ProgressSink {
 public:
  VertexId AddVertex(const std::string&) override { return next_++; }
  void Started(VertexId) override {}
  void Log(VertexId, int, std::string_view) override {}
  void Progress(VertexId, std::string_view, uint64_t, uint64_t) override {}
  void Finished(VertexId, VertexOutcome, const std::string&) override {}
  void Message(const std::string&) override {}
  void Warning(const std::string&) override {}

 private:
  VertexId next_ = 0;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_PROGRESS_H_
