#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <optional>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include "exec/host.h"
#include "exec/launch.h"
#include "exec/overlay.h"

namespace imgbuild::exec {
namespace {

using Item = HostProbe::Item;

constexpr size_t kMaxIds = 4 << 20;

std::string FirstLineOf(const std::vector<std::string>& argv) {
  ProcessOptions options;
  options.argv = argv;
  CommandResult result = RunCommand(options);
  return Split(result.out, '\n').front();
}

// Runs `probe`, which returns the detail; an Error makes the item not ok.
Item Try(const char* what, const std::function<std::string()>& probe,
         const std::string& fix) {
  Item item;
  item.what = what;
  try {
    item.detail = probe();
    item.ok = true;
  } catch (const Error& error) {
    item.detail = error.message();
    item.fix = error.hint().empty() ? fix : error.hint();
  }
  return item;
}

std::string ProbeRuntime(const ExecutorOptions& options) {
  Runtime runtime = FindRuntime(options.runtime);
  HostFacts facts = ReadHostFacts();
  std::string version = FirstLineOf({runtime.path, "--version"});
  if (runtime.kind == RuntimeKind::kRunc) return version;
  return version +
         (facts.pure_cgroup2 ? "" : " (with a private cgroup2 mount)");
}

std::string ProbeNamespaces(const ExecutorOptions& options) {
  LaunchPlan plan;
  plan.dir = options.state_dir + "/run";
  fs::MakeDirs(AT_FDCWD, plan.dir, 0700);
  plan.argv = {FindProgram("true").value_or("/bin/true")};
  Launched process = Launch(plan);
  int status = process.Wait();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error(ErrorCode::kHost, "a process in new namespaces did not run");
  }
  return "mount and pid namespaces";
}

std::string ProbeOverlay(const ExecutorOptions& options, bool user_xattr) {
  UniqueFd state = fs::OpenDir(AT_FDCWD, options.state_dir);
  fs::TempDir dir(state.get(), "probe-");
  for (const char* name : {"lower", "upper", "work"}) {
    fs::MakeDir(dir.fd(), name, 0755);
  }
  store::OverlayMount mount;
  mount.lower = {dir.path() + "/lower"};
  mount.upper = dir.path() + "/upper";
  mount.work = dir.path() + "/work";
  mount.user_xattr = user_xattr;
  try {
    MountOverlay(mount, dir.path(), OverlayApi::kNewApi);
    return "overlayfs (any number of layers)";
  } catch (const Error&) {
    MountOverlay(mount, dir.path(), OverlayApi::kMount);
    return "overlayfs (classic mount call)";
  }
}

std::string ProbeNetwork() {
  std::optional<std::string> pasta = FindProgram("pasta");
  if (!pasta) throw Error(ErrorCode::kHost, "pasta is not installed");
  UniqueFd tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  if (!tun) {
    throw ErrnoError("open", "/dev/net/tun", errno)
        .WithHint("as root: modprobe tun && chmod 666 /dev/net/tun");
  }
  return "pasta (" + *pasta + ")";
}

Item ProbeCgroups(const std::vector<CgroupHierarchy>& hierarchies) {
  Item item;
  item.what = "cgroups";
  bool v1 = false;
  bool v2 = false;
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    (hierarchy.v2 ? v2 : v1) = true;
  }
  ResourceLimits memory;
  memory.memory_bytes = 64 << 20;
  ResourceLimits cpu;
  cpu.cpu_quota_us = 100000;
  ResourceLimits pids;
  pids.pids = 1000;
  std::vector<std::string> can;
  std::vector<std::string> cannot;
  auto attempt = [&](const char* name, const ResourceLimits& limits) {
    try {
      LimitCgroups made(limits, hierarchies, NewCgroupName());
      can.push_back(name);
    } catch (const Error&) {
      cannot.push_back(name);
    }
  };
  attempt("memory", memory);
  attempt("cpu", cpu);
  attempt("pids", pids);
  item.ok = cannot.empty();
  item.detail = v1 && v2 ? "versions 1 and 2"
                : v2     ? "version 2"
                : v1     ? "version 1"
                         : "none mounted";
  if (!can.empty()) item.detail += "; limits: " + Join(can, ", ");
  if (!cannot.empty()) {
    item.detail += "; not enforceable: " + Join(cannot, ", ");
    item.fix =
        "run as root, or in a delegated cgroup: systemd-run --user "
        "--scope -p Delegate=yes imgbuild …";
  }
  return item;
}

Item ProbeDeviceFilter(const Host& host) {
  Item item;
  item.what = "device filter";
  item.ok = host.filter_cgroup || host.facts.in_user_namespace;
  item.detail = host.filter_cgroup ? "BPF on a cgroup"
                : host.facts.in_user_namespace
                    ? "not needed in a user namespace"
                    : "cannot be set up: containers get no CAP_MKNOD";
  if (!item.ok) item.fix = "mount cgroup2, and allow imgbuild to load BPF";
  return item;
}

std::string ProbeMonitor() {
  std::optional<std::string> conmon = FindProgram("conmon");
  if (!conmon) throw Error(ErrorCode::kHost, "conmon is not installed");
  return FirstLineOf({*conmon, "--version"});
}

// Whether the user that runs this has ids to give to a user namespace.
std::string ProbeSubordinateIds() {
  if (geteuid() == 0 && !ReadHostFacts().in_user_namespace) {
    return "not needed: this is root";
  }
  std::string name = std::to_string(geteuid());
  std::string passwd =
      fs::ReadFileIfExists(AT_FDCWD, "/etc/passwd", kMaxIds).value_or("");
  for (const std::string& line : Split(passwd, '\n')) {
    std::vector<std::string> fields = Split(line, ':');
    if (fields.size() > 2 && fields[2] == name) {
      name = fields[0];
      break;
    }
  }
  for (const char* path : {"/etc/subuid", "/etc/subgid"}) {
    std::string text =
        fs::ReadFileIfExists(AT_FDCWD, path, kMaxIds).value_or("");
    bool found = false;
    for (const std::string& line : Split(text, '\n')) {
      found = found || line.starts_with(name + ":");
    }
    if (!found) {
      throw Error(ErrorCode::kHost,
                  fmt::format("{} has no range for {}", path, name))
          .WithHint(fmt::format("as root: usermod --add-subuids 100000-165535 "
                                "--add-subgids 100000-165535 {}",
                                name));
    }
  }
  return "ranges in /etc/subuid and /etc/subgid";
}

std::string ProbeDevice(const char* path) {
  UniqueFd device(open(path, O_RDWR | O_CLOEXEC));
  if (!device) throw ErrnoError("open", path, errno);
  return path;
}

// In a child, because a threaded process cannot enter one.
std::string ProbeUserNamespaces() {
  pid_t pid = fork();
  if (pid < 0) throw ErrnoError("start", "process", errno);
  if (pid == 0) _exit(unshare(CLONE_NEWUSER) == 0 ? 0 : errno);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WEXITSTATUS(status) != 0) {
    throw ErrnoError("create", "user namespace", WEXITSTATUS(status));
  }
  std::string detail = "allowed";
  if (!FindProgram("newuidmap")) {
    detail += "; without newuidmap (package uidmap) one id only";
  }
  return detail;
}

}  // namespace

HostProbe ProbeHost(const ExecutorOptions& options) {
  HostProbe probe;
  bool user_xattr = ReadHostFacts().in_user_namespace;
  probe.items.push_back(Try(
      "OCI runtime", [&] { return ProbeRuntime(options); },
      "apt-get install crun"));
  probe.items.push_back(Try(
      "namespaces", [&] { return ProbeNamespaces(options); },
      "run as root, or allow user namespaces"));
  probe.items.push_back(Try(
      "overlay", [&] { return ProbeOverlay(options, user_xattr); },
      "put --root on a file system that overlayfs can use (ext4, xfs, tmpfs)"));
  probe.items.push_back(Try("monitor", ProbeMonitor, "apt-get install conmon"));
  probe.items.push_back(Try("network", ProbeNetwork, "apt-get install passt"));
  probe.items.push_back(Try(
      "tun device", [] { return ProbeDevice("/dev/net/tun"); },
      "as root: modprobe tun && chmod 666 /dev/net/tun"));
  probe.items.push_back(Try(
      "fuse device", [] { return ProbeDevice("/dev/fuse"); },
      "as root: modprobe fuse && chmod 666 /dev/fuse"));
  probe.items.push_back(
      Try("user namespaces", ProbeUserNamespaces,
          "sysctl -w kernel.unprivileged_userns_clone=1 (and, on Ubuntu, "
          "kernel.apparmor_restrict_unprivileged_userns=0)"));
  probe.items.push_back(Try(
      "subordinate ids", ProbeSubordinateIds,
      "apt-get install uidmap, and give the user a range in /etc/subuid and "
      "/etc/subgid"));
  probe.items.push_back(ProbeCgroups(ReadCgroups()));
  try {
    probe.items.push_back(ProbeDeviceFilter(MakeHost(options)));
  } catch (const Error&) {
    // Already told: there is no runtime.
  }
  return probe;
}

}  // namespace imgbuild::exec
