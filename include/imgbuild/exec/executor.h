// Runs one process in a root file system through an OCI runtime (crun, else
// runc): RUN steps and `imgbuild run` alike. The overlay is mounted in a
// private mount namespace of the runtime's own, so that nothing is left
// mounted whatever dies.
#ifndef IMGBUILD_EXEC_EXECUTOR_H_
#define IMGBUILD_EXEC_EXECUTOR_H_

#include <sys/types.h>

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
  kJoin,  // ProcessSpec::join_network: another container's
};

// A port of the host that leads into the container's own network.
struct PortForward {
  std::string host_address;  // "": all
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  bool udp = false;
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
  std::vector<std::string> options;  // kBind: nosuid, nodev, noexec
};

// A device that the process may use beside the usual ones.
struct DeviceNode {
  std::string path;  // below /dev
  bool block = false;
  uint32_t major = 0;
  uint32_t minor = 0;
  uint32_t mode = 0666;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string access = "rwm";  // read, write, mknod
};

// A program of the host that the runtime calls (OCI runtime specification).
struct Hook {
  std::string name;  // "createContainer"
  std::string path;  // absolute
  std::vector<std::string> args;
  std::vector<std::string> env;
  int timeout_seconds = 0;  // 0: none
};

struct ResourceLimits {
  uint64_t memory_bytes = 0;
  int64_t memory_swap_bytes = 0;
  uint64_t cpu_quota_us = 0;  // per cpu_period_us
  uint64_t cpu_period_us = 100000;
  uint64_t cpu_shares = 0;  // weight among others; 1024 is the usual one
  std::string cpuset_cpus;  // "0-2,4"
  std::string cpuset_mems;
  int64_t pids = 0;
  struct Ulimit {
    std::string name;  // "nofile"
    uint64_t soft = 0;
    uint64_t hard = 0;
  };
  std::vector<Ulimit> ulimits;
  uint64_t shm_bytes = 64u << 20;
  // A cgroup of its own even when nothing is limited, so that its use can be
  // read and it can be frozen. Where none can be made it goes without.
  bool own_cgroup = false;
  // The cgroup that the run's own one is made in, from the root of each
  // hierarchy ("/builds"); made when missing. "": this process's own.
  std::string cgroup_parent;
};

inline constexpr char kHostGateway[] = "host-gateway";

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
  std::vector<DeviceNode> devices;
  std::vector<Hook> hooks;
  NetworkMode network = NetworkMode::kDefault;
  int join_network = -1;                   // a network namespace, for kJoin
  std::vector<PortForward> ports;          // kDefault only
  std::optional<std::string> resolv_conf;  // in place of the host's
  // Name and address, lines for /etc/hosts. kHostGateway stands for an address
  // that leads to the host: its loopback, which nothing reaches otherwise.
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  bool privileged = false;  // --security=insecure
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  bool no_new_privileges = false;
  bool seccomp_unconfined = false;
  ResourceLimits limits;
  bool init = false;
  // What the runtime calls it, and what proves to others which container a
  // process is; "": a random name.
  std::string id;
};

// What another process needs to find a container that was started.
struct StartedContainer {
  std::string id;
  // The outermost process, as this pid namespace numbers it: the runtime, or
  // conmon. It holds the container's namespaces and ends with them.
  pid_t pid = -1;
  std::string run_dir;  // its private mount
  std::string runtime;  // path
  bool crun = true;
  std::vector<std::string> cgroups;  // directories, the host's names
};

// The container is watched by conmon, which keeps a log and lets others attach.
struct MonitorSpec {
  std::string name;
  std::string log_path;     // made if need be; conmon's k8s-file format
  bool keep_stdin = false;  // -i: a pipe that whoever attaches writes to
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
  // Called once the process exists and before its first instruction when
  // `monitor` is set, else right after its start.
  std::function<void(const StartedContainer&)> on_started;
  // The first instruction may have run.
  std::function<void()> on_running;
  // Set: conmon owns the streams; the descriptors above are not used, and of
  // the terminal only whether there is one.
  std::optional<MonitorSpec> monitor;
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
  // A Run with these is about to come: what takes time is begun. Does not
  // block, throws nothing; a failure is Run's.
  virtual void Expect(NetworkMode, const std::vector<PortForward>&) {}
  // No Run is about to come: what takes time to end is told to. Does not block;
  // a Run that comes all the same starts anew.
  virtual void Dismiss() {}
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

// "net_admin", "CAP_CHOWN", "ALL".
bool IsCapabilityName(std::string_view name);

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
