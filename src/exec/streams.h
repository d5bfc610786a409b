// Carries the streams of a running container until it has ended.
#ifndef IMGBUILD_SRC_EXEC_STREAMS_H_
#define IMGBUILD_SRC_EXEC_STREAMS_H_

#include <optional>
#include <string>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

#include "exec/launch.h"
#include "exec/terminal.h"

namespace imgbuild::exec {

// The container's side and ours of its three streams.
class Streams {
 public:
  // Without a terminal: stdin as it is, pipes for the outputs that go to
  // io.on_output (the runtime gives them to the process's user, so that it may
  // reopen /dev/stdout).
  // With one: a socket in `socket_dir` that the runtime sends its master to;
  // io.user_tty_fd is raw until this object goes.
  Streams(const ExecIo& io, const std::string& socket_dir);

  // The descriptors of the child.
  int child_in() const { return child_in_; }
  int child_out() const { return child_out_; }
  int child_err() const { return child_err_; }
  // Empty without a terminal.
  std::string console_socket() const {
    return console_ ? console_->path() : "";
  }
  // After the start: the parent's copies go, so that the end can be seen.
  void CloseChildSide();

  // Passes everything on until `process` has ended and all it wrote is read.
  // False: cancelled; the process is still running.
  bool Pump(Launched& process, const CancelToken& cancel);

 private:
  void Deliver(int stream, UniqueFd& fd);
  void Output(int stream, std::string_view bytes);
  void ReadInput();
  void WriteInput();
  void FollowWindow();
  void PassSignals(Launched& process);

  const ExecIo& io_;
  int child_in_ = -1;
  int child_out_ = -1;
  int child_err_ = -1;
  UniqueFd out_;  // what is read: pipes, or the terminal's master as out_
  UniqueFd err_;
  UniqueFd out_write_;
  UniqueFd err_write_;
  std::optional<ConsoleSocket> console_;
  std::optional<RawMode> raw_;
  std::optional<winsize> window_;
  std::string pending_input_;  // read from the user, not yet taken
  bool input_open_ = false;
  bool signals_open_ = false;
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_STREAMS_H_
