// Which devices a container may open: a BPF program on its cgroup. Containers
// may make device nodes (CAP_MKNOD, as Docker has it); without this filter the
// host's disks would be one mknod away.
#ifndef IMGBUILD_SRC_EXEC_DEVICE_FILTER_H_
#define IMGBUILD_SRC_EXEC_DEVICE_FILTER_H_

#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// null, zero, full, random, urandom, tty, console, ptmx, pseudo terminals and
// `others`; making any node is allowed, opening further ones is not. An empty
// descriptor when the kernel does not let this process load programs.
UniqueFd LoadDeviceFilter(const std::vector<DeviceNode>& others = {});

// On a cgroup2 directory, in addition to what its parents have. False when
// refused.
bool AttachDeviceFilter(int cgroup_fd, int program_fd);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_DEVICE_FILTER_H_
