// ProcessSpec -> the OCI runtime's config.json. Pure: every fact about the
// host comes in as data.
#ifndef IMGBUILD_SRC_EXEC_RUNTIME_SPEC_H_
#define IMGBUILD_SRC_EXEC_RUNTIME_SPEC_H_

#include <string>
#include <vector>

#include "imgbuild/exec/executor.h"

#include "exec/capabilities.h"

namespace imgbuild::exec {

// Where things lie in the runtime's own namespace, and what the host allows.
struct RuntimeLayout {
  std::string rootfs;  // absolute
  // One per spec.mounts; empty for tmpfs.
  std::vector<std::string> mount_sources;
  // Files of ours that are bound over the image's: /etc/hosts and friends.
  struct InjectedFile {
    std::string source;  // absolute
    std::string target;  // absolute in the container, links resolved
  };
  std::vector<InjectedFile> injected;
  // A fresh namespace with a loopback device alone; else the runtime's own.
  bool new_network_namespace = false;
  // The host's network is used: /sys shows it, so a new sysfs cannot be
  // mounted by a process that does not own that namespace.
  bool bind_sys = false;
  // The "seccomp" object, and the same filter compiled (raw, may be empty):
  // crun takes the program by annotation and then ignores the object. Both
  // empty: no filter.
  std::string seccomp_json;
  std::string seccomp_program;
  CapabilitySet capabilities = 0;  // bounding, effective and permitted
  // Group 5 ("tty") can be given to pseudo terminals: it is mapped.
  bool tty_group = true;
  bool terminal = false;
  uint16_t terminal_rows = 0;  // 0: unknown
  uint16_t terminal_columns = 0;
  // The runtime makes the cgroup with the limits and the device rules itself.
  bool runtime_cgroups = false;
  // Then where, from the root of each hierarchy; "": below its own.
  std::string cgroups_path;
  // spec.init: the host's init program; run as /dev/init.
  std::string init_program;
  // For a privileged process.
  struct Device {
    std::string path;
    bool block = false;
    uint32_t major = 0;
    uint32_t minor = 0;
    uint32_t mode = 0;
  };
  std::vector<Device> devices;
};

// The text of config.json.
std::string MakeRuntimeSpec(const ProcessSpec& spec,
                            const RuntimeLayout& layout);

// The "process" object of a further command in a running container.
std::string MakeProcessSpec(const ProcessSpec& spec,
                            const RuntimeLayout& layout);

// HOME is added when it is missing; the order is kept.
std::vector<std::string> ProcessEnv(const ProcessSpec& spec);

// /etc/hosts for a container.
std::string MakeHostsFile(
    const std::string& hostname,
    const std::vector<std::pair<std::string, std::string>>& extra_hosts);

// The name a container has when it is given none: a constant, because a build
// step may write it into a file.
inline constexpr char kDefaultHostname[] = "imgbuild";

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_RUNTIME_SPEC_H_
