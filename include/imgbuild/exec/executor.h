// Runs one process in a root file system through an OCI runtime (crun, else
// runc): RUN steps and `imgbuild run` alike. The overlay is mounted in a
// private mount namespace of the runtime's own, so that nothing is left
// mounted whatever dies.
#ifndef IMGBUILD_EXEC_EXECUTOR_H_
#define IMGBUILD_EXEC_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/store/snapshotter.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::exec {

enum class NetworkMode {
  kDefault,  // own namespace, connected through pasta
  kNone,     // own namespace, loopback only
  kHost,
};

struct UserSpec {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary
};

struct Mount {
  enum class Type { kBind, kTmpfs };
  Type type = Type::kBind;
  // kBind: an absolute host path (or /proc/self/fd/N of a descriptor that
  // lives until Run returns). Always private propagation.
  std::string source;
  // Absolute path in the container, links already resolved by the caller. A
  // missing target is provided by a stub layer below the image, so nothing
  // is created in it.
  std::string target;
  bool target_is_file = false;
  bool read_only = false;
  uint64_t tmpfs_size = 0;
  uint32_t tmpfs_mode = 01777;
};

struct ResourceLimits {
  uint64_t memory_bytes = 0;
  int64_t memory_swap_bytes = 0;
  uint64_t cpu_quota_us = 0;  // per cpu_period_us
  uint64_t cpu_period_us = 100000;
  int64_t pids = 0;
  struct Ulimit {
    std::string name;  // "nofile"
    uint64_t soft = 0;
    uint64_t hard = 0;
  };
  std::vector<Ulimit> ulimits;
  uint64_t shm_bytes = 64u << 20;
};

struct ProcessSpec {
  std::vector<std::string> args;  // not empty
  std::vector<std::string> env;   // exactly this; HOME is added when absent
  std::string cwd = "/";          // made in the container when missing
  UserSpec user;
  std::string home;  // for HOME when env has none
  store::OverlayMount rootfs;
  bool read_only_rootfs = false;
  std::string hostname;
  std::vector<Mount> mounts;
  NetworkMode network = NetworkMode::kDefault;
  // "name:ip" lines for /etc/hosts.
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  bool privileged = false;  // --security=insecure
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  bool no_new_privileges = false;
  ResourceLimits limits;
  bool init = false;
};

// Where the three streams go. With a terminal the process gets a pty and
// `on_output` sees stream 1 only.
struct ExecIo {
  // Read until end of file; -1: /dev/null.
  int stdin_fd = -1;
  bool terminal = false;
  // The user's terminal whose size is followed and whose raw mode is set while
  // the process runs; -1: none.
  int user_tty_fd = -1;
  // Called from one thread.
  std::function<void(int stream, std::string_view bytes)> on_output;
  // Each byte read from it is the number of a signal for the process (pid 1 of
  // the container); -1: none. A terminal's Ctrl-C never reaches it by itself.
  int signal_fd = -1;
  // When set, the process writes right to these and on_output is not called.
  int stdout_fd = -1;
  int stderr_fd = -1;
};

struct ExitResult {
  int exit_code = 0;  // as a shell reports it: 128 + signal for a signal
  int signal = 0;
  bool out_of_memory = false;
  // Set when the process could not be started: the runtime's reason, cleaned
  // up, with exit_code 127 (not found) or 126 (not executable).
  std::string start_error;
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Blocks until the process ended. Cancellation kills it and everything it
  // started and throws Error(kInterrupted). Error(kHost): no runtime, no
  // permission for namespaces, no pasta for the default network — each with
  // what to do. Thread-safe.
  virtual ExitResult Run(const ProcessSpec& spec, const ExecIo& io,
                         const CancelToken& cancel) = 0;
};

struct ExecutorOptions {
  std::string state_dir;  // for bundles and runtime state; exists
  // Empty: probe crun, then runc. Else the name or path of a runtime.
  std::string runtime;
};
// Probing happens with the first Run. The network namespace of kDefault is
// made with the first step that needs one and reused for the life of the
// executor; it goes with the process, also when that is killed.
std::unique_ptr<Executor> NewOciExecutor(ExecutorOptions options);

// What `doctor` tells and Run relies on.
struct HostProbe {
  struct Item {
    std::string what;  // "OCI runtime", "network", "cgroups", "user namespaces"
    bool ok = false;
    std::string detail;  // "crun 1.8.1 (private cgroup2 mount)"
    std::string fix;     // one line, when not ok
  };
  std::vector<Item> items;
};
HostProbe ProbeHost(const ExecutorOptions& options);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_EXECUTOR_H_
