// A further command in a container whose output is caught.
#ifndef IMGBUILD_SRC_CONTAINER_INSIDE_H_
#define IMGBUILD_SRC_CONTAINER_INSIDE_H_

#include <string>

#include "imgbuild/container/run.h"

namespace imgbuild::container {

struct CapturedExec {
  int exit_code = 0;
  bool timed_out = false;  // it was killed then
  std::string output;      // both streams, cut
};
// Throws Error when the container does not run, kInterrupted when cancelled.
CapturedExec ExecCaptured(Containers& containers, const Container& container,
                          const ExecOptions& options, int64_t timeout_ns,
                          size_t max_output, const CancelToken& cancel);

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_INSIDE_H_
