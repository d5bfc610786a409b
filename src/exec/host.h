// What this host is and allows, found out once with the first Run.
#ifndef IMGBUILD_SRC_EXEC_HOST_H_
#define IMGBUILD_SRC_EXEC_HOST_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

#include "exec/capabilities.h"
#include "exec/cgroup.h"
#include "exec/runtime_probe.h"
#include "exec/runtime_spec.h"

namespace imgbuild::exec {

struct Host {
  Runtime runtime;
  UniqueFd runtime_program;  // a sealed copy
  HostFacts facts;
  CapabilitySet capabilities = 0;  // this process's own
  std::string bottom_stub;
  std::string run_dir;  // where each runtime mounts its private tmpfs
  std::vector<CgroupHierarchy> cgroups;
  // The device filter, and the cgroup of all runs that have no other.
  UniqueFd device_filter;
  std::optional<Cgroup> filter_cgroup;
};

// Where each runtime mounts its private tmpfs.
std::string RunDirOf(const ExecutorOptions& options);

// Throws Error(kHost): no runtime, or a state directory that cannot be used.
Host MakeHost(const ExecutorOptions& options);

// ContainerCapabilities(), without CAP_MKNOD where nothing keeps a container
// from opening the device nodes it makes.
CapabilitySet AllowedCapabilities(const ProcessSpec& spec, const Host& host);

// Throws Error(kHost) for an id that this user namespace does not have.
void CheckUser(const UserSpec& user, const HostFacts& facts);

// Throws Error(kUsage) for an unknown name and Error(kHost) for one that this
// process may not raise.
void CheckUlimits(const std::vector<ResourceLimits::Ulimit>& ulimits,
                  CapabilitySet own);

// The host's devices that a privileged process gets, as far as they exist.
std::vector<RuntimeLayout::Device> PrivilegedDevices();

// A small init for spec.init: catatonit, tini or docker-init. Throws
// Error(kHost) with what to install.
std::string FindInit();

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_HOST_H_
