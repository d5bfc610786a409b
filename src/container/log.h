// The log of a container in conmon's k8s-file format: a line is
//   TIME STREAM TAG TEXT
// with an RFC 3339 time in nanoseconds, stdout or stderr, and F, or P for a
// piece of a line that goes on.
#ifndef IMGBUILD_SRC_CONTAINER_LOG_H_
#define IMGBUILD_SRC_CONTAINER_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/util/unique_fd.h"

namespace imgbuild::container {

// Writes what a foreground container puts out.
class LogWriter {
 public:
  // Appends; made if need be.
  explicit LogWriter(const std::string& path);
  void Write(int stream, std::string_view bytes);

 private:
  UniqueFd fd_;
};

struct LogLine {
  int64_t time_ns = 0;
  std::string time;  // as written
  int stream = 1;
  bool partial = false;
  std::string text;  // without the end of line
};
// nullopt for what is no such line.
std::optional<LogLine> ParseLogLine(std::string_view line);

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_LOG_H_
