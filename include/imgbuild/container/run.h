// Running a container: as its monitor, or by leaving a monitor behind.
#ifndef IMGBUILD_CONTAINER_RUN_H_
#define IMGBUILD_CONTAINER_RUN_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/container/containers.h"
#include "imgbuild/exec/attach.h"
#include "imgbuild/exec/executor.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/process.h"

namespace imgbuild::container {

// What running needs besides the store.
struct Engine {
  Containers& containers;
  exec::Executor& executor;
  // Asked for only when a layer is not unpacked: it reads the configuration of
  // registries.
  std::function<transfer::Transfer&()> transfer;
};

// Runs it as its monitor; the process's streams are this process's, and it
// ends with this process. Bytes read from `signal_fd` (-1: none) are signals
// for it. Returns what it ended with; a container that removes itself is gone
// then. Throws Error(kUsage) when it runs already.
exec::ExitResult RunForeground(const Engine& engine, const Container& container,
                               int signal_fd, const CancelToken& cancel);

// The body of the monitor process of a detached container: under conmon, with
// health checks and its restart policy, until it ends for good. Talks to its
// starter over `channel_fd` (see DetachedStart), which it closes.
void Supervise(const Engine& engine, const std::string& id, int channel_fd,
               const CancelToken& cancel);

// The starter's side. The monitor is this program with `argv`, which ends in
// Supervise(…, kChannelFd, …).
class DetachedStart {
 public:
  static constexpr int kChannelFd = 3;
  // Starts the monitor and blocks until the container exists but has not run
  // yet. Throws the monitor's Error; a command that cannot be started is
  // `failure()` instead.
  DetachedStart(const std::vector<std::string>& argv);
  ~DetachedStart();

  const std::optional<exec::ExitResult>& failure() const { return failure_; }
  // Lets it run. REQUIRES: !failure().
  void Go();

 private:
  std::string ReadLine();
  bool Take(const std::string& line);
  UniqueFd channel_;
  std::string pending_;
  std::optional<exec::ExitResult> failure_;
};

// A further command in a running container.
struct ExecOptions {
  std::vector<std::string> command;
  std::vector<std::string> env;  // after the container's own
  std::string working_dir;       // empty: the container's
  std::string user;              // empty: the container's
  bool terminal = false;
  bool interactive = false;
  bool detach = false;
  bool privileged = false;
};
// Blocks until it has ended, unless detached. 126, 127 with start_error.
exec::ExitResult ExecInside(Containers& containers, const Container& container,
                            const ExecOptions& options);

// RFC 3339 with a fraction, seconds since 1970, or a Go duration before `now`.
// Throws Error(kUsage).
int64_t ParseLogTime(const std::string& text, int64_t now_ns);
// "2026-11-25T14:47:25.600977553Z"
std::string FormatNs(int64_t ns);

// What a container wrote.
struct LogOptions {
  bool follow = false;
  bool timestamps = false;
  std::optional<size_t> tail;  // lines; nullopt: all
  int64_t since_ns = 0;
  int64_t until_ns = 0;  // 0: no end
};
// `out` gets each piece with its stream (1 or 2). With follow until nobody
// runs it any more.
void ReadLogs(
    Containers& containers, const Container& container,
    const LogOptions& options,
    const std::function<void(int stream, std::string_view bytes)>& out,
    const CancelToken& cancel);

}  // namespace imgbuild::container

#endif  // IMGBUILD_CONTAINER_RUN_H_
