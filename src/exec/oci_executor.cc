#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <mutex>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "exec/capabilities.h"
#include "exec/cgroup.h"
#include "exec/container_root.h"
#include "exec/device_filter.h"
#include "exec/exit_status.h"
#include "exec/launch.h"
#include "exec/network.h"
#include "exec/program_check.h"
#include "exec/runtime_probe.h"
#include "exec/runtime_spec.h"
#include "exec/seccomp_profile.h"
#include "exec/streams.h"
#include "exec/stub_layer.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxRuntimeLog = 1 << 20;

// A profile in both forms.
struct Seccomp {
  std::string json;
  std::string program;
};

// What is found out once, with the first Run.
struct Host {
  Runtime runtime;
  UniqueFd runtime_program;
  HostFacts facts;
  CapabilitySet capabilities = 0;
  std::string bottom_stub;
  std::string run_dir;  // where each runtime mounts its private tmpfs
  std::vector<CgroupHierarchy> cgroups;
  // The device filter, and the cgroup of all runs that have no other.
  UniqueFd device_filter;
  std::optional<Cgroup> filter_cgroup;
  bool filters_devices() const { return filter_cgroup.has_value(); }
};

// Puts the device filter up where this process may; without it (or a user
// namespace, where device nodes cannot be opened) nobody gets CAP_MKNOD.
void SetUpDeviceFilter(Host& host) {
  host.device_filter = LoadDeviceFilter();
  if (!host.device_filter) return;
  std::optional<Cgroup> made = MakeFilterCgroup(host.cgroups, NewCgroupName());
  if (made) host.filter_cgroup.emplace(std::move(*made));
  if (host.filter_cgroup &&
      !AttachDeviceFilter(host.filter_cgroup->fd(), host.device_filter.get())) {
    host.filter_cgroup.reset();
  }
}

class OciExecutor : public Executor {
 public:
  explicit OciExecutor(ExecutorOptions options)
      : options_(std::move(options)) {}
  ExitResult Run(const ProcessSpec& spec, const ExecIo& io,
                 const CancelToken& cancel) override;

 private:
  const Host& GetHost();
  const Network& GetNetwork(const Host& host);
  const Seccomp& GetSeccomp(CapabilitySet capabilities);
  RuntimeLayout PlanLayout(const ProcessSpec& spec, const Host& host,
                           const ExecIo& io);

  const ExecutorOptions options_;
  std::mutex mutex_;  // guards what follows; nothing is replaced once made
  std::unique_ptr<const Host> host_;
  std::unique_ptr<const Network> network_;
  std::map<CapabilitySet, Seccomp> seccomp_;
};

const Host& OciExecutor::GetHost() {
  std::lock_guard lock(mutex_);
  if (host_) return *host_;
  auto host = std::make_unique<Host>();
  host->runtime = FindRuntime(options_.runtime);
  host->runtime_program = SealedCopy(host->runtime.path);
  host->facts = ReadHostFacts();
  host->capabilities = OwnCapabilities();
  host->bottom_stub = EnsureBottomStub(options_.state_dir);
  host->run_dir = options_.state_dir + "/run";
  fs::MakeDirs(AT_FDCWD, host->run_dir, 0700);
  host->cgroups = ReadCgroups();
  SweepCgroups(host->cgroups);
  SetUpDeviceFilter(*host);
  host_ = std::move(host);
  return *host_;
}

const Network& OciExecutor::GetNetwork(const Host& host) {
  std::lock_guard lock(mutex_);
  if (!network_) network_ = std::make_unique<const Network>(host.run_dir);
  network_->Check();
  return *network_;
}

const Seccomp& OciExecutor::GetSeccomp(CapabilitySet capabilities) {
  std::lock_guard lock(mutex_);
  auto [it, added] = seccomp_.try_emplace(capabilities);
  if (added) {
    std::vector<SeccompRule> rules = SeccompRules(capabilities);
    it->second.json = SeccompJson(rules);
    it->second.program = CompileSeccomp(rules);
  }
  return it->second;
}

void CheckSpec(const ProcessSpec& spec) {
  if (spec.args.empty()) {
    throw Error(ErrorCode::kUsage, "run: no command");
  }
  if (!spec.cwd.starts_with('/')) {
    throw Error(ErrorCode::kUsage,
                fmt::format("run: working directory {} is not absolute",
                            "\"" + spec.cwd + "\""));
  }
}

// Opens the sources of all mounts; their places under plan.dir.
std::vector<BindSource> OpenBinds(const ProcessSpec& spec, LaunchPlan& plan,
                                  RuntimeLayout& layout) {
  std::vector<BindSource> binds;
  for (size_t i = 0; i < spec.mounts.size(); ++i) {
    if (spec.mounts[i].type != Mount::Type::kBind) {
      binds.emplace_back();
      layout.mount_sources.emplace_back();
      continue;
    }
    BindSource source = OpenBindSource(spec.mounts[i]);
    std::string name = fmt::format("bind{}", i);
    if (source.content) {
      plan.files.push_back(
          {name, *source.content, source.mode, source.uid, source.gid});
    } else {
      plan.mounts.push_back({source.fd.get(), name, source.is_directory});
    }
    layout.mount_sources.push_back(plan.dir + "/" + name);
    binds.push_back(std::move(source));
  }
  return binds;
}

// Our files over the image's.
void InjectFiles(const ProcessSpec& spec, const ContainerRoot& root,
                 const std::string& resolv_conf, LaunchPlan& plan,
                 RuntimeLayout& layout) {
  std::string hostname =
      spec.hostname.empty() ? kDefaultHostname : spec.hostname;
  auto inject = [&](const std::optional<std::string>& target, const char* name,
                    std::string text) {
    if (!target) return;
    plan.files.push_back({name, std::move(text), 0644});
    layout.injected.push_back({plan.dir + "/" + name, "/" + *target});
  };
  inject(root.hosts, "hosts", MakeHostsFile(hostname, spec.extra_hosts));
  inject(root.resolv_conf, "resolv.conf", resolv_conf);
  inject(root.hostname, "hostname", hostname + "\n");
}

std::vector<std::string> RuntimeCommand(const Host& host, int log_fd,
                                        const std::string& console_socket) {
  std::vector<std::string> argv = {host.runtime.path,
                                   "--root",
                                   host.run_dir + "/state",
                                   "--log",
                                   fmt::format("/proc/self/fd/{}", log_fd),
                                   "--log-format",
                                   "json"};
  if (host.runtime.kind == RuntimeKind::kCrun) {
    argv.push_back("--cgroup-manager=disabled");
  }
  argv.insert(argv.end(), {"run", "--bundle", host.run_dir});
  if (!console_socket.empty()) {
    argv.insert(argv.end(), {"--console-socket", console_socket});
  }
  // runc names cgroups after it.
  argv.push_back(NewCgroupName());
  return argv;
}

CapabilitySet AllowedCapabilities(const ProcessSpec& spec, const Host& host) {
  CapabilitySet set = ContainerCapabilities(spec, host.capabilities);
  CapabilitySet mknod = ParseCapability("mknod");
  bool guarded =
      spec.privileged || host.filters_devices() || host.facts.in_user_namespace;
  if (guarded || (set & mknod) == 0) return set;
  for (const std::string& name : spec.cap_add) {
    if (ParseCapability(name) == mknod) {
      throw Error(ErrorCode::kHost,
                  "cap-add: mknod needs a device filter, which cannot be set "
                  "up here (cgroup2 and BPF are needed)");
    }
  }
  return set & ~mknod;
}

// Where the run's processes live: the limits' cgroups and the device filter.
void PlanCgroups(const ProcessSpec& spec, const Host& host,
                 std::optional<LimitCgroups>& limits, LaunchPlan& plan) {
  if (HasCgroupLimits(spec.limits)) {
    limits.emplace(spec.limits, host.cgroups, NewCgroupName());
    plan.cgroup2_fd = limits->cgroup2_fd();
    plan.cgroup_procs_fds = limits->procs_fds();
  }
  if (spec.privileged || !host.filters_devices()) return;
  if (plan.cgroup2_fd < 0) {
    plan.cgroup2_fd = host.filter_cgroup->fd();
  } else if (!AttachDeviceFilter(plan.cgroup2_fd, host.device_filter.get())) {
    throw ErrnoError("attach", "device filter", errno);
  }
}

RuntimeLayout OciExecutor::PlanLayout(const ProcessSpec& spec, const Host& host,
                                      const ExecIo& io) {
  RuntimeLayout layout;
  layout.rootfs = host.run_dir + "/rootfs";
  layout.capabilities = AllowedCapabilities(spec, host);
  layout.tty_group = host.facts.tty_group;
  layout.terminal = io.terminal;
  if (std::optional<winsize> size = WindowSize(io.user_tty_fd)) {
    layout.terminal_rows = size->ws_row;
    layout.terminal_columns = size->ws_col;
  }
  layout.new_network_namespace = spec.network == NetworkMode::kNone;
  layout.bind_sys =
      spec.network == NetworkMode::kHost && host.facts.in_user_namespace;
  if (!spec.privileged && host.facts.seccomp) {
    const Seccomp& seccomp = GetSeccomp(layout.capabilities);
    layout.seccomp_json = seccomp.json;
    layout.seccomp_program = seccomp.program;
  }
  return layout;
}

ExitResult OciExecutor::Run(const ProcessSpec& spec, const ExecIo& io,
                            const CancelToken& cancel) {
  cancel.Check();
  CheckSpec(spec);
  const Host& host = GetHost();
  RuntimeLayout layout = PlanLayout(spec, host, io);
  LaunchPlan plan;
  plan.dir = host.run_dir;
  plan.directories = {"state"};
  std::string resolv_conf;
  if (spec.network == NetworkMode::kDefault) {
    const Network& network = GetNetwork(host);
    plan.network_fd = network.fd();
    resolv_conf = network.resolv_conf();
  } else if (spec.network == NetworkMode::kHost) {
    resolv_conf = ReadHostResolvConf();
  }
  std::vector<BindSource> binds = OpenBinds(spec, plan, layout);
  ContainerRoot root =
      MountContainerRoot(spec, binds, host.bottom_stub, options_.state_dir);
  if (std::optional<ExitResult> failure = CheckProgram(spec, root.fd.get())) {
    return *failure;
  }
  plan.mounts.push_back({root.fd.get(), "rootfs", true});
  InjectFiles(spec, root, resolv_conf, plan, layout);
  plan.files.push_back({"config.json", MakeRuntimeSpec(spec, layout), 0600});
  plan.private_cgroup2 = host.runtime.kind == RuntimeKind::kCrun &&
                         host.facts.cgroup2 && !host.facts.pure_cgroup2;
  UniqueFd log(memfd_create("runtime-log", MFD_CLOEXEC));
  if (!log) throw ErrnoError("create", "runtime log", errno);
  plan.log_fd = log.get();
  plan.program_fd = host.runtime_program.get();
  plan.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  std::optional<LimitCgroups> limits;
  PlanCgroups(spec, host, limits, plan);
  Streams streams(io, spec.user.uid, options_.state_dir);
  plan.argv = RuntimeCommand(host, log.get(), streams.console_socket());
  plan.stdin_fd = streams.child_in();
  plan.stdout_fd = streams.child_out();
  plan.stderr_fd = streams.child_err();

  Launched process = Launch(plan);
  streams.CloseChildSide();
  binds.clear();
  root.fd.reset();
  if (!streams.Pump(process, cancel)) {
    process.Signal(SIGKILL);
    process.Wait();
    cancel.Check();
  }
  int status = process.Wait();
  if (lseek(log.get(), 0, SEEK_SET) != 0) {
    throw ErrnoError("read", "runtime log", errno);
  }
  return DecodeExit(status,
                    fs::ReadFd(log.get(), kMaxRuntimeLog, "runtime log"),
                    host.runtime.name());
}

}  // namespace

std::unique_ptr<Executor> NewOciExecutor(ExecutorOptions options) {
  return std::make_unique<OciExecutor>(std::move(options));
}

}  // namespace imgbuild::exec
