#include "exec/host.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include "exec/device_filter.h"
#include "exec/scratch_dir.h"
#include "exec/stub_layer.h"

namespace imgbuild::exec {
namespace {

struct UlimitName {
  const char* name;
  __rlimit_resource resource;
};
constexpr UlimitName kUlimits[] = {
    {"core", RLIMIT_CORE},         {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},         {"fsize", RLIMIT_FSIZE},
    {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},
    {"nofile", RLIMIT_NOFILE},     {"nproc", RLIMIT_NPROC},
    {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},     {"sigpending", RLIMIT_SIGPENDING},
    {"stack", RLIMIT_STACK}};

// The filter goes where this process may put it; a host without one is not an
// error, only a reason to give less.
void SetUpDeviceFilter(Host& host) {
  host.device_filter = LoadDeviceFilter();
  if (!host.device_filter) return;
  std::optional<Cgroup> made = MakeFilterCgroup(host.cgroups, NewCgroupName());
  if (made && AttachDeviceFilter(made->fd(), host.device_filter.get())) {
    host.filter_cgroup.emplace(std::move(*made));
  }
}

}  // namespace

std::string RunDirOf(const ExecutorOptions& options) {
  return options.state_dir + "/run";
}

Host MakeHost(const ExecutorOptions& options) {
  Host host;
  host.runtime = FindRuntime(options.runtime);
  host.runtime_program = SealedCopy(host.runtime.path);
  host.facts = ReadHostFacts();
  host.capabilities = OwnCapabilities();
  host.bottom_stub = EnsureBottomStub(options.state_dir);
  host.run_dir = RunDirOf(options);
  fs::MakeDirs(AT_FDCWD, host.run_dir, 0700);
  SweepScratchDirs(options.state_dir);
  host.cgroups = ReadCgroups();
  SweepCgroups(host.cgroups);
  SetUpDeviceFilter(host);
  return host;
}

CapabilitySet AllowedCapabilities(const ProcessSpec& spec, const Host& host) {
  CapabilitySet set = ContainerCapabilities(spec, host.capabilities);
  CapabilitySet mknod = ParseCapability("mknod");
  bool guarded =
      spec.privileged || host.filter_cgroup || host.facts.in_user_namespace;
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

void CheckUser(const UserSpec& user, const HostFacts& facts) {
  auto check = [](const char* what, const std::string& map, uint32_t id) {
    if (MapsId(map, id)) return;
    throw Error(ErrorCode::kHost,
                fmt::format("run: {} {} is not mapped into this user namespace",
                            what, id))
        .WithHint(
            "install uidmap and give the user a range in /etc/subuid and "
            "/etc/subgid, or run as root");
  };
  check("user id", facts.uid_map, user.uid);
  check("group id", facts.gid_map, user.gid);
  for (uint32_t group : user.groups) check("group id", facts.gid_map, group);
}

void CheckUlimits(const std::vector<ResourceLimits::Ulimit>& ulimits,
                  CapabilitySet own) {
  for (const ResourceLimits::Ulimit& limit : ulimits) {
    const UlimitName* known = nullptr;
    for (const UlimitName& entry : kUlimits) {
      if (limit.name == entry.name) known = &entry;
    }
    if (known == nullptr) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("ulimit: no such limit {}", Quoted(limit.name)));
    }
    if (limit.soft > limit.hard) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("ulimit {}: the soft limit {} is above the hard "
                              "limit {}",
                              limit.name, limit.soft, limit.hard));
    }
    rlimit now{};
    getrlimit(known->resource, &now);
    bool may_raise = (own & ParseCapability("sys_resource")) != 0;
    if (limit.hard > now.rlim_max && !may_raise) {
      throw Error(
          ErrorCode::kHost,
          fmt::format("ulimit {}: {} is above imgbuild's own hard limit "
                      "{}, which it may not raise",
                      limit.name, limit.hard, now.rlim_max))
          .WithHint(
              "raise it where imgbuild is started (ulimit -H), or ask "
              "for less");
    }
  }
}

std::vector<RuntimeLayout::Device> PrivilegedDevices() {
  std::vector<std::string> paths = {"/dev/fuse", "/dev/net/tun",
                                    "/dev/loop-control"};
  for (int i = 0; i < 8; ++i) paths.push_back(fmt::format("/dev/loop{}", i));
  std::vector<RuntimeLayout::Device> out;
  for (std::string& path : paths) {
    std::optional<struct ::stat> st = fs::LstatIfExists(AT_FDCWD, path);
    if (!st || !(S_ISBLK(st->st_mode) || S_ISCHR(st->st_mode))) continue;
    out.push_back({std::move(path), S_ISBLK(st->st_mode), major(st->st_rdev),
                   minor(st->st_rdev), st->st_mode & 07777});
  }
  return out;
}

std::string FindInit() {
  for (const char* name : {"catatonit", "tini-static", "docker-init", "tini",
                           "/usr/libexec/podman/catatonit"}) {
    if (std::optional<std::string> path = FindProgram(name)) return *path;
  }
  throw Error(ErrorCode::kHost,
              "run: --init needs an init program, and neither catatonit nor "
              "tini is installed")
      .WithHint("apt-get install catatonit");
}

}  // namespace imgbuild::exec
