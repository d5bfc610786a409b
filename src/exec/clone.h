// A child that shares this program's memory until it execs (nothing is copied,
// so its start does not depend on how big the program is) and that is born in
// a given cgroup (moving there later waits for all CPUs).
#ifndef IMGBUILD_SRC_EXEC_CLONE_H_
#define IMGBUILD_SRC_EXEC_CLONE_H_

#include <sys/types.h>

#include <cstdint>

namespace imgbuild::exec {

struct CloneRequest {
  uint64_t flags = 0;  // CLONE_…, in addition to CLONE_VM | CLONE_VFORK
  int cgroup2_fd = -1;
  // Runs in the child, on a stack of its own, while the caller is suspended.
  int (*function)(void*) = nullptr;
  void* argument = nullptr;
  int pidfd = -1;  // out
  // Out: the kernel did not take the cgroup; the child must enter by itself.
  bool enter_cgroup = false;
};

// The child's pid, or -1 with errno. `enter_cgroup` is set before the child
// runs. The child starts with all signals blocked: no handler of ours may run
// in it while it shares our memory.
pid_t CloneShared(CloneRequest& request);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_CLONE_H_
