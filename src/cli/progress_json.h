// Progress as one JSON object a line, for programs (--progress=rawjson):
//   {"event":"vertex","id":3,"name":"[2/4] RUN make"}
//   {"event":"started","id":3,"time":"…"}
//   {"event":"log","id":3,"stream":1,"data":"…"}
//   {"event":"progress","id":3,"what":"…","done":1,"total":2}
//   {"event":"finished","id":3,"outcome":"cached","detail":""}
//   {"event":"message"|"warning","text":"…"}
#ifndef IMGBUILD_CLI_PROGRESS_JSON_H_
#define IMGBUILD_CLI_PROGRESS_JSON_H_

#include <cstdio>
#include <mutex>
#include <string>

#include "imgbuild/util/progress.h"

namespace imgbuild::cli {

class JsonProgress : public ProgressSink {
 public:
  explicit JsonProgress(std::FILE* out) : out_(out) {}
  VertexId AddVertex(const std::string& name) override;
  void Started(VertexId vertex) override;
  void Log(VertexId vertex, int stream, std::string_view bytes) override;
  void Progress(VertexId vertex, std::string_view what, uint64_t done,
                uint64_t total) override;
  void Finished(VertexId vertex, VertexOutcome outcome,
                const std::string& detail) override;
  void Message(const std::string& line) override;
  void Warning(const std::string& line) override;

 private:
  void Emit(const std::string& line);
  std::FILE* out_;
  std::mutex mutex_;
  VertexId next_ = 0;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_PROGRESS_JSON_H_
