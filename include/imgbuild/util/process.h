// One child process: started with exactly the descriptors and environment it
// is given, killed and reaped when its owner goes away.
#ifndef IMGBUILD_UTIL_PROCESS_H_
#define IMGBUILD_UTIL_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild {

struct ProcessOptions {
  std::vector<std::string> argv;  // argv[0] is searched in PATH when bare
  // nullopt: the parent's environment.
  std::optional<std::vector<std::string>> env;
  // Descriptors of the child's 0, 1, 2; -1 is /dev/null. Not owned.
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
  // Further descriptors that the child keeps, under the same numbers.
  std::vector<int> keep_fds;
  std::string cwd;  // empty: the parent's
  bool new_session = false;
  // Runs in the child between fork and exec, after stdio is in place and before
  // the change to `cwd`; other descriptors are still open. Async-signal-safe
  // code only; a non-zero return is an errno that Start() reports. Start()
  // returns after exec, so this must not wait for its caller.
  std::function<int()> before_exec;
};

// What became of a process.
struct ExitStatus {
  int code = 0;    // exit code, valid when signal == 0
  int signal = 0;  // the signal that ended it, or 0
  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;  // "exit code 3", "signal 9 (Killed)"
};

class Process {
 public:
  // Throws Error when the program cannot be started (the errno of exec is
  // passed back through a pipe). The child gets PDEATHSIG SIGKILL, which means
  // that it dies with the *thread* that called Start(). Its signals are all
  // unblocked and at their defaults.
  static Process Start(const ProcessOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  ~Process();  // SIGKILL and reap, if still running

  pid_t pid() const { return pid_; }
  // May be called again: the status is kept.
  ExitStatus Wait();
  std::optional<ExitStatus> TryWait();
  void Kill(int signal) noexcept;

 private:
  explicit Process(pid_t pid) : pid_(pid) {}
  void End() noexcept;
  pid_t pid_ = -1;
  std::optional<ExitStatus> status_;  // once it was reaped
};

struct CommandResult {
  ExitStatus status;
  std::string out;
  std::string err;
};
// Runs to the end with `input` on stdin (when empty: options.stdin_fd) and both
// outputs captured, each cut at `cap` bytes. It ends with the child, even when
// a grandchild keeps an output open. Cancellation kills the child (with
// new_session its whole process group) and throws kInterrupted.
CommandResult RunCommand(const ProcessOptions& options,
                         const std::string& input = "", size_t cap = 1 << 20,
                         const CancelToken* cancel = nullptr);

// The absolute path of `program` in PATH (plus /usr/sbin and /sbin), if any;
// PATH's relative entries are passed over.
std::optional<std::string> FindProgram(const std::string& program);

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_PROCESS_H_
