// Starts the OCI runtime in a world of its own: a mount and a pid namespace
// that hold the root file system, the bundle and the runtime's state, and that
// end with it. Nothing is written to a disk and nothing is left to clean up.
#ifndef IMGBUILD_SRC_EXEC_LAUNCH_H_
#define IMGBUILD_SRC_EXEC_LAUNCH_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// Everything the new process does between clone and exec, prepared so that it
// needs system calls alone: it shares memory with this (threaded) program.
struct LaunchPlan {
  // An existing directory: a tmpfs is mounted there, in the new namespace
  // only. The paths of `mounts` and `files` are relative to it.
  std::string dir;
  std::vector<std::string> directories;
  struct File {
    std::string path;
    std::string content;
    mode_t mode = 0644;
    uid_t uid = 0;
    gid_t gid = 0;
  };
  std::vector<File> files;
  // Detached mounts and where they are attached (mount points are made).
  struct Attach {
    int fd = -1;
    std::string path;
    bool is_directory = true;
  };
  std::vector<Attach> mounts;
  // Mount a pure cgroup2 on /sys/fs/cgroup: crun refuses a hybrid host.
  bool private_cgroup2 = false;
  int network_fd = -1;  // a network namespace to enter, or -1
  // A cgroup2 directory to be born in (the cheap way to get there), or -1.
  int cgroup2_fd = -1;
  // Open cgroup.procs files of the other hierarchies.
  std::vector<int> cgroup_procs_fds;
  std::vector<std::string> argv;  // argv[0] is a path
  int program_fd = -1;            // executed instead of argv[0], unless -1
  std::vector<std::string> env;
  int stdin_fd = -1;  // -1: /dev/null
  int stdout_fd = -1;
  int stderr_fd = -1;
  // Unless it is -1, the program is executed once this is readable, and only
  // if `gate_open` is true then; all before that need not wait.
  int gate_fd = -1;
  const std::atomic<bool>* gate_open = nullptr;
  // Kept open under their own numbers; -1 is passed over.
  std::vector<int> keep_fds;
};

// The runtime: pid 1 of its own pid namespace, so that whatever it started
// dies with it, and killed by the kernel when the thread that launched it (or
// the whole program) goes.
class Launched {
 public:
  Launched(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Launched(Launched&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Launched& operator=(Launched&&) = delete;
  ~Launched();  // kills and reaps, if need be

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }  // readable when it has ended
  void Signal(int number) noexcept;
  // Blocks; the wait status.
  int Wait();

 private:
  pid_t pid_;
  UniqueFd pidfd_;
};

// Throws Error(kHost) naming the operation that failed. REQUIRES: the calling
// thread lives until the process has ended (parent-death signal).
Launched Launch(const LaunchPlan& plan);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_LAUNCH_H_
