// Which OCI runtime there is and what this host lets it do.
#ifndef IMGBUILD_SRC_EXEC_RUNTIME_PROBE_H_
#define IMGBUILD_SRC_EXEC_RUNTIME_PROBE_H_

#include <optional>
#include <string>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

enum class RuntimeKind { kCrun, kRunc };

struct Runtime {
  RuntimeKind kind = RuntimeKind::kCrun;
  std::string path;
  std::string name() const {
    return kind == RuntimeKind::kCrun ? "crun" : "runc";
  }
};

// The runtime's program as a sealed memfd. Runtimes protect themselves from
// the container (CVE-2019-5736) by copying themselves into one and starting
// again; started from one, they need not. Empty for a wrapper script, which
// has to be started by its path.
UniqueFd SealedCopy(const std::string& path);

// The one named in `wanted` (a name or a path), or crun, or runc. Throws
// Error(kHost) with what to install.
Runtime FindRuntime(const std::string& wanted);

// What Run must know about the host; cheap to find out.
struct HostFacts {
  bool pure_cgroup2 = false;  // /sys/fs/cgroup is cgroup2
  bool cgroup2 = false;       // the kernel has cgroup2
  std::string uid_map;        // as in /proc/self
  std::string gid_map;
  bool in_user_namespace = false;  // not all ids are mapped
  bool tty_group = true;           // gid 5 is mapped
  bool seccomp = true;
};
HostFacts ReadHostFacts();

// Whether an id map (the text of /proc/self/uid_map) covers `id`.
bool MapsId(const std::string& map, uint64_t id);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_RUNTIME_PROBE_H_
