#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <mutex>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "exec/capabilities.h"
#include "exec/cgroup.h"
#include "exec/conmon.h"
#include "exec/container_root.h"
#include "exec/device_filter.h"
#include "exec/exit_status.h"
#include "exec/host.h"
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

bool WantsHostGateway(const ProcessSpec& spec) {
  return std::ranges::any_of(spec.extra_hosts, [](const auto& host) {
    return host.second == kHostGateway;
  });
}

// Lines of /etc/hosts: the gateway is the host's own loopback where its network
// is used, and nothing where there is none.
std::vector<std::pair<std::string, std::string>> ExtraHosts(
    const ProcessSpec& spec) {
  auto out = spec.extra_hosts;
  if (!WantsHostGateway(spec)) return out;
  std::string address;
  if (spec.network == NetworkMode::kHost) address = "127.0.0.1";
  if (spec.network == NetworkMode::kDefault) address = HostGateway();
  for (auto& [name, value] : out) {
    if (value == kHostGateway) value = address;
  }
  std::erase_if(out, [](const auto& host) { return host.second.empty(); });
  return out;
}

class OciExecutor : public Executor {
 public:
  explicit OciExecutor(ExecutorOptions options)
      : options_(std::move(options)) {}
  ExitResult Run(const ProcessSpec& spec, const ExecIo& io,
                 const CancelToken& cancel) override;
  void Expect(NetworkMode network,
              const std::vector<PortForward>& ports) override;
  void Dismiss() override;

 private:
  const Host& GetHost();
  std::shared_ptr<const Network> GetNetwork(const Host& host,
                                            const ProcessSpec& spec);
  const Seccomp& GetSeccomp(CapabilitySet capabilities);
  RuntimeLayout PlanLayout(const ProcessSpec& spec, const Host& host,
                           const ExecIo& io);
  struct Prepared;
  std::string PlanNetwork(const ProcessSpec& spec, const Host& host,
                          Prepared& out);
  void AwaitNetwork(const Prepared& prepared);
  Launched LaunchRuntime(const Prepared& prepared);
  std::optional<ExitResult> Prepare(const ProcessSpec& spec, const Host& host,
                                    const ExecIo& io, Prepared& out);
  ExitResult RunDirectly(Prepared& prepared, const Host& host, const ExecIo& io,
                         const CancelToken& cancel);
  ExitResult RunMonitored(Prepared& prepared, const Host& host,
                          const ExecIo& io, const CancelToken& cancel);
  static StartedContainer Describe(const Prepared& prepared, const Host& host,
                                   pid_t pid);
  static void DropReferences(Prepared& prepared);
  static void RemoveCgroups(const Prepared& prepared, const Host& host);

  const ExecutorOptions options_;
  std::mutex mutex_;  // guards what follows; what is made stays
  std::unique_ptr<const Host> host_;
  std::shared_ptr<Network> network_;
  std::shared_ptr<Network> gateway_network_;      // reaches the host
  std::vector<std::shared_ptr<Network>> ending_;  // dismissed
  std::map<CapabilitySet, Seccomp> seccomp_;
};

const Host& OciExecutor::GetHost() {
  std::lock_guard lock(mutex_);
  if (!host_) host_ = std::make_unique<const Host>(MakeHost(options_));
  return *host_;
}

// Its route may still be to come: see AwaitNetwork().
std::shared_ptr<const Network> OciExecutor::GetNetwork(
    const Host& host, const ProcessSpec& spec) {
  std::lock_guard lock(mutex_);
  const bool gateway = WantsHostGateway(spec);
  std::shared_ptr<Network>& network = gateway ? gateway_network_ : network_;
  if (!network) {
    network = std::make_shared<Network>(host.run_dir, spec.ports, gateway);
  }
  network->Check();
  return network;
}

void OciExecutor::Expect(NetworkMode network,
                         const std::vector<PortForward>& ports) {
  if (network != NetworkMode::kDefault) return;
  std::lock_guard lock(mutex_);
  if (network_) return;
  try {
    const std::string run_dir = RunDirOf(options_);
    fs::MakeDirs(AT_FDCWD, run_dir, 0700);
    network_ = std::make_shared<Network>(run_dir, ports);
  } catch (const Error&) {
    network_.reset();
  }
}

void OciExecutor::Dismiss() {
  std::lock_guard lock(mutex_);
  for (std::shared_ptr<Network>* network : {&network_, &gateway_network_}) {
    if (!*network) continue;
    (*network)->Stop();
    ending_.push_back(std::move(*network));
  }
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

void CheckSpec(const ProcessSpec& spec, const Host& host) {
  if (spec.args.empty()) throw Error(ErrorCode::kUsage, "run: no command");
  if (!spec.cwd.starts_with('/')) {
    throw Error(ErrorCode::kUsage,
                fmt::format("run: working directory {} is not absolute",
                            Quoted(spec.cwd)));
  }
  for (const Mount& mount : spec.mounts) {
    if (!mount.target.starts_with('/') ||
        fs::CleanRelative(mount.target).empty()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("run: mount target {} is not an absolute path "
                              "below \"/\"",
                              Quoted(mount.target)));
    }
  }
  CheckUser(spec.user, host.facts);
  CheckUlimits(spec.limits.ulimits, host.capabilities);
  CheckLimits(spec.limits);
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

// The host's init program, where config.json expects it.
void PlanInit(LaunchPlan& plan, RuntimeLayout& layout,
              std::vector<BindSource>& binds) {
  Mount mount;
  mount.source = FindInit();
  mount.read_only = true;
  binds.push_back(OpenBindSource(mount));
  plan.mounts.push_back({binds.back().fd.get(), "init", false});
  layout.init_program = plan.dir + "/init";
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
  inject(root.hosts, "hosts", MakeHostsFile(hostname, ExtraHosts(spec)));
  inject(root.resolv_conf, "resolv.conf", resolv_conf);
  inject(root.hostname, "hostname", hostname + "\n");
}

std::vector<std::string> RuntimeCommand(const Host& host, int log_fd,
                                        const std::string& console_socket,
                                        const std::string& id) {
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
  argv.push_back(id);
  return argv;
}

// A cgroup of this run alone whose filter lets through its own devices.
void MakeOwnFilter(const ProcessSpec& spec, const Host& host,
                   std::optional<Cgroup>& own, LaunchPlan& plan) {
  const UniqueFd filter = LoadDeviceFilter(spec.devices);
  if (plan.cgroup2_fd < 0) {
    if (auto made = MakeFilterCgroup(host.cgroups, NewCgroupName())) {
      own.emplace(std::move(*made));
      plan.cgroup2_fd = own->fd();
    }
  }
  if (!filter || plan.cgroup2_fd < 0 ||
      !AttachDeviceFilter(plan.cgroup2_fd, filter.get())) {
    throw ErrnoError("attach", "device filter", errno);
  }
}

// Where the run's processes live: the limits' cgroups and the device filter.
// `own_filter`: a cgroup that had to be made for a filter of this run's own.
void PlanCgroups(const ProcessSpec& spec, const Host& host,
                 std::optional<LimitCgroups>& limits,
                 std::optional<Cgroup>& own_filter, LaunchPlan& plan) {
  // runc makes a cgroup in any case, and its own threads would count in ours.
  bool wanted = HasCgroupLimits(spec.limits) || spec.limits.own_cgroup;
  if (wanted && host.runtime.kind == RuntimeKind::kCrun) {
    limits.emplace(spec.limits, host.cgroups, NewCgroupName());
    plan.cgroup2_fd = limits->cgroup2_fd();
    plan.cgroup_procs_fds = limits->procs_fds();
  }
  if (spec.privileged || !host.filter_cgroup) return;
  if (!spec.devices.empty()) {
    MakeOwnFilter(spec, host, own_filter, plan);
  } else if (plan.cgroup2_fd < 0) {
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
  layout.runtime_cgroups = host.runtime.kind == RuntimeKind::kRunc;
  layout.new_network_namespace = spec.network == NetworkMode::kNone;
  layout.bind_sys =
      spec.network == NetworkMode::kHost && host.facts.in_user_namespace;
  if (spec.privileged) {
    layout.devices = PrivilegedDevices();
  } else if (host.facts.seccomp && !spec.seccomp_unconfined) {
    const Seccomp& seccomp = GetSeccomp(layout.capabilities);
    layout.seccomp_json = seccomp.json;
    layout.seccomp_program = seccomp.program;
  }
  return layout;
}

std::string ReadLog(int log_fd) {
  if (lseek(log_fd, 0, SEEK_SET) != 0) {
    throw ErrnoError("read", "runtime log", errno);
  }
  return fs::ReadFd(log_fd, kMaxRuntimeLog, "runtime log");
}

// Everything of a run that must live until its process does.
struct OciExecutor::Prepared {
  LaunchPlan plan;
  std::vector<BindSource> binds;
  ContainerRoot root;
  std::shared_ptr<const Network> network;
  std::optional<LimitCgroups> limits;
  std::optional<Cgroup> own_filter;
  std::string cgroup_parent;
  std::string id;
};

// Enters the network of the spec; the text of /etc/resolv.conf.
std::string OciExecutor::PlanNetwork(const ProcessSpec& spec, const Host& host,
                                     Prepared& out) {
  LaunchPlan& plan = out.plan;
  switch (spec.network) {
    case NetworkMode::kDefault:
      out.network = GetNetwork(host, spec);
      try {
        plan.network_fd = out.network->fd();
      } catch (const Error&) {
        AwaitNetwork(out);
        throw;
      }
      return out.network->resolv_conf();
    case NetworkMode::kHost:
      return ReadHostResolvConf();
    case NetworkMode::kJoin:
      plan.network_fd = spec.join_network;
      return MakeResolvConf(ReadHostResolvConf()).text;
    case NetworkMode::kNone:
      break;
  }
  return "";
}

// Until its network has its route. After a failure the next run tries again.
void OciExecutor::AwaitNetwork(const Prepared& prepared) {
  if (!prepared.network) return;
  try {
    prepared.network->WaitReady();
  } catch (const Error&) {
    std::lock_guard lock(mutex_);
    for (std::shared_ptr<Network>* network : {&network_, &gateway_network_}) {
      if (*network == prepared.network) network->reset();
    }
    throw;
  }
}

// A network that fails is a launch that fails, with the network's error.
Launched OciExecutor::LaunchRuntime(const Prepared& prepared) {
  try {
    return Launch(prepared.plan);
  } catch (const Error&) {
    AwaitNetwork(prepared);
    throw;
  }
}

// The reason why it cannot start, if there is one that is the command's own.
std::optional<ExitResult> OciExecutor::Prepare(const ProcessSpec& spec,
                                               const Host& host,
                                               const ExecIo& io,
                                               Prepared& out) {
  LaunchPlan& plan = out.plan;
  RuntimeLayout layout = PlanLayout(spec, host, io);
  // runc names cgroups after it.
  out.id = spec.id.empty() ? NewCgroupName() : spec.id;
  out.cgroup_parent = spec.limits.cgroup_parent;
  if (!out.cgroup_parent.empty()) {
    layout.cgroups_path = out.cgroup_parent + "/" + out.id;
  }
  plan.dir = host.run_dir;
  plan.directories = {"state"};
  plan.private_cgroup2 = host.runtime.kind == RuntimeKind::kCrun &&
                         host.facts.cgroup2 && !host.facts.pure_cgroup2;
  out.binds = OpenBinds(spec, plan, layout);
  if (spec.init) PlanInit(plan, layout, out.binds);
  out.root =
      MountContainerRoot(spec, out.binds, host.bottom_stub, options_.state_dir);
  if (auto failure = CheckProgram(spec, out.root.fd.get())) return failure;
  plan.mounts.push_back({out.root.fd.get(), "rootfs", true});
  std::string resolv_conf = PlanNetwork(spec, host, out);
  if (spec.resolv_conf) resolv_conf = *spec.resolv_conf;
  InjectFiles(spec, out.root, resolv_conf, plan, layout);
  plan.files.push_back({"config.json", MakeRuntimeSpec(spec, layout), 0600});
  plan.files.push_back({kIdFile, out.id, 0600});
  PlanCgroups(spec, host, out.limits, out.own_filter, plan);
  plan.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  return std::nullopt;
}

StartedContainer OciExecutor::Describe(const Prepared& prepared,
                                       const Host& host, pid_t pid) {
  StartedContainer started;
  started.id = prepared.id;
  started.pid = pid;
  started.run_dir = host.run_dir;
  started.runtime = host.runtime.path;
  started.crun = host.runtime.kind == RuntimeKind::kCrun;
  if (prepared.limits) started.cgroups = prepared.limits->Paths();
  if (prepared.own_filter) {
    started.cgroups.push_back(prepared.own_filter->path());
  } else if (host.filter_cgroup &&
             prepared.plan.cgroup2_fd == host.filter_cgroup->fd()) {
    started.cgroups.push_back(host.filter_cgroup->path());
  }
  return started;
}

// The container's own references are enough: the overlay goes with it.
void OciExecutor::DropReferences(Prepared& prepared) {
  prepared.binds.clear();
  prepared.root.fd.reset();
}

void OciExecutor::RemoveCgroups(const Prepared& prepared, const Host& host) {
  if (host.runtime.kind != RuntimeKind::kRunc) return;
  const std::optional<Cgroup>& filter =
      prepared.own_filter ? prepared.own_filter : host.filter_cgroup;
  RemoveRuntimeCgroups(host.cgroups, filter ? filter->path() : "",
                       prepared.cgroup_parent, prepared.id);
}

ExitResult OciExecutor::RunMonitored(Prepared& prepared, const Host& host,
                                     const ExecIo& io,
                                     const CancelToken& cancel) {
  // The container is made while pasta starts. runc's would have to be undone.
  if (host.runtime.kind == RuntimeKind::kRunc) AwaitNetwork(prepared);
  Conmon conmon(prepared.plan, host.runtime, prepared.id, *io.monitor,
                io.terminal);
  DropReferences(prepared);
  if (auto failure = conmon.WaitCreated(cancel)) return *failure;
  AwaitNetwork(prepared);
  StartedContainer started = Describe(prepared, host, conmon.pid());
  if (io.on_started) io.on_started(started);
  conmon.Start(started);
  if (io.on_running) io.on_running();
  bool ended = conmon.Wait(cancel);
  ExitResult result;
  if (ended) result = conmon.Result();
  RemoveCgroups(prepared, host);
  if (!ended) cancel.Check();
  return result;
}

ExitResult OciExecutor::RunDirectly(Prepared& prepared, const Host& host,
                                    const ExecIo& io,
                                    const CancelToken& cancel) {
  LaunchPlan& plan = prepared.plan;
  UniqueFd log(memfd_create("runtime-log", MFD_CLOEXEC));
  if (!log) throw ErrnoError("create", "runtime log", errno);
  plan.keep_fds = {log.get()};
  Streams streams(io, options_.state_dir);
  plan.argv =
      RuntimeCommand(host, log.get(), streams.console_socket(), prepared.id);
  plan.program_fd = host.runtime_program.get();
  plan.stdin_fd = streams.child_in();
  plan.stdout_fd = streams.child_out();
  plan.stderr_fd = streams.child_err();
  if (prepared.network) {
    plan.gate_fd = prepared.network->settled_fd();
    plan.gate_open = &prepared.network->has_route();
  }

  Launched process = LaunchRuntime(prepared);
  streams.CloseChildSide();
  DropReferences(prepared);
  if (io.on_started) io.on_started(Describe(prepared, host, process.pid()));
  if (io.on_running) io.on_running();
  bool cancelled = !streams.Pump(process, cancel);
  if (cancelled) process.Signal(SIGKILL);
  int status = process.Wait();
  RemoveCgroups(prepared, host);
  if (cancelled) cancel.Check();
  return DecodeExit(status, ReadLog(log.get()), host.runtime.name());
}

ExitResult OciExecutor::Run(const ProcessSpec& spec, const ExecIo& io,
                            const CancelToken& cancel) {
  cancel.Check();
  const Host& host = GetHost();
  CheckSpec(spec, host);
  Prepared prepared;
  if (auto failure = Prepare(spec, host, io, prepared)) return *failure;
  ExitResult result = io.monitor ? RunMonitored(prepared, host, io, cancel)
                                 : RunDirectly(prepared, host, io, cancel);
  result.out_of_memory = prepared.limits && prepared.limits->OutOfMemory();
  return result;
}

}  // namespace

std::unique_ptr<Executor> NewOciExecutor(ExecutorOptions options) {
  return std::make_unique<OciExecutor>(std::move(options));
}

}  // namespace imgbuild::exec
