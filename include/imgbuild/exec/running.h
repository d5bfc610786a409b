// A started container as another process meets it: through the process that
// its monitor wrote down. A pid alone proves nothing, so it is taken only when
// that process carries the container's id in its private mount.
#ifndef IMGBUILD_EXEC_RUNNING_H_
#define IMGBUILD_EXEC_RUNNING_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// A command in a running container.
struct InsideSpec {
  std::vector<std::string> args;
  std::vector<std::string> env;
  std::string cwd = "/";
  UserSpec user;
  bool terminal = false;
  bool no_new_privileges = false;
  bool privileged = false;
  // -1: /dev/null.
  int stdin_fd = -1;
  int stdout_fd = -1;
  int stderr_fd = -1;
};

class Running {
 public:
  // nullopt: that process has ended or is another one by now.
  static std::optional<Running> Find(const StartedContainer& started);

  // Readable when the container has ended with everything in it.
  int pidfd() const { return pidfd_.get(); }
  bool Ended() const;
  // The first process of the container as this pid namespace numbers it; 0
  // while there is none.
  pid_t InitPid() const;
  // To the first process. False: there is none (any longer).
  bool Signal(int number) const;
  // Every process in the container's pid namespace, ascending.
  std::vector<pid_t> Processes() const;
  // The root of the container's file system. Throws Error(kHost).
  UniqueFd OpenRoot() const;
  UniqueFd OpenNetwork() const;
  // A directory with the monitor's sockets ("attach", "ctl").
  UniqueFd OpenRunDir() const;

  // Lets a container that conmon has created run. Throws Error(kHost).
  void StartCreated() const;
  // Why the command cannot be started (127, 126), else nullopt.
  std::optional<ExitResult> CheckInside(const InsideSpec& spec) const;
  // Starts it through the runtime that started the container, in its cgroups.
  // The exit status of the process is the command's (128 + signal).
  Process StartInside(const InsideSpec& spec) const;

 private:
  Running(StartedContainer started, UniqueFd pidfd)
      : started_(std::move(started)), pidfd_(std::move(pidfd)) {}

  // The runtime with `arguments`, in the container's outer namespaces.
  Process StartRuntime(const std::vector<std::string>& arguments,
                       const InsideSpec& stdio,
                       const std::vector<int>& keep_fds) const;
  ProcessSpec ToProcess(const InsideSpec& spec) const;

  StartedContainer started_;
  UniqueFd pidfd_;
};

// Of the cgroups that a container was started in.
struct ContainerUsage {
  uint64_t cpu_ns = 0;
  uint64_t memory_bytes = 0;
  uint64_t memory_limit = 0;  // 0: none
  uint64_t processes = 0;
  uint64_t read_bytes = 0;
  uint64_t written_bytes = 0;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
};
// From the cgroups where it has its own, else summed over its processes.
ContainerUsage ReadUsage(const StartedContainer& started,
                         const Running& running);

// Stops or continues everything in it. Throws Error(kHost) where no freezer is
// to be had.
void SetFrozen(const StartedContainer& started, bool frozen);
bool IsFrozen(const StartedContainer& started);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_RUNNING_H_
