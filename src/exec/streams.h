// Carries the streams of a running container until it has ended.
#ifndef IMGBUILD_SRC_EXEC_STREAMS_H_
#define IMGBUILD_SRC_EXEC_STREAMS_H_

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

#include "exec/launch.h"

namespace imgbuild::exec {

// The container's side and ours of its three streams.
class Streams {
 public:
  // Without a terminal: stdin as it is, pipes for the outputs that go to
  // io.on_output. `uid` owns the pipes, so that the process may reopen
  // /dev/stdout.
  Streams(const ExecIo& io, uint32_t uid);

  // The descriptors of the child.
  int child_in() const { return child_in_; }
  int child_out() const { return child_out_; }
  int child_err() const { return child_err_; }
  // After the start: the parent's copies go, so that the end can be seen.
  void CloseChildSide();

  // Passes output on until `process` has ended and everything it wrote is
  // read. False: cancelled; the process is still running.
  bool Pump(Launched& process, const CancelToken& cancel);

 private:
  void Deliver(int stream, int fd, bool* open);

  const ExecIo& io_;
  int child_in_ = -1;
  int child_out_ = -1;
  int child_err_ = -1;
  UniqueFd read_[2];
  UniqueFd write_[2];
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_STREAMS_H_
