#include "exec/runtime_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

namespace imgbuild::exec {
namespace {

using Json = nlohmann::ordered_json;

Json BindMount(const std::string& source, const std::string& target,
               std::vector<std::string> options) {
  return {{"destination", target},
          {"type", "bind"},
          {"source", source},
          {"options", std::move(options)}};
}

Json KernelMount(const char* target, const char* type,
                 std::vector<std::string> options) {
  return {{"destination", target},
          {"type", type},
          {"source", type},
          {"options", std::move(options)}};
}

Json ProcessSection(const ProcessSpec& spec, const RuntimeLayout& layout) {
  std::vector<std::string> args = spec.args;
  if (spec.init) args.insert(args.begin(), {"/dev/init", "--"});
  Json user = {{"uid", spec.user.uid}, {"gid", spec.user.gid}};
  if (!spec.user.groups.empty()) user["additionalGids"] = spec.user.groups;
  std::vector<std::string> names = CapabilityNames(layout.capabilities);
  // No inheritable and no ambient capabilities: a program without file
  // capabilities gets none from its parent (CVE-2022-24769).
  Json capabilities = {
      {"bounding", names}, {"effective", names}, {"permitted", names}};
  Json rlimits = Json::array();
  for (const ResourceLimits::Ulimit& limit : spec.limits.ulimits) {
    std::string type = "RLIMIT_";
    for (char c : limit.name) {
      type += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    rlimits.push_back(
        {{"type", type}, {"soft", limit.soft}, {"hard", limit.hard}});
  }
  Json process = {{"terminal", layout.terminal},
                  {"user", std::move(user)},
                  {"args", std::move(args)},
                  {"env", ProcessEnv(spec)},
                  {"cwd", spec.cwd},
                  {"capabilities", std::move(capabilities)},
                  {"noNewPrivileges", spec.no_new_privileges}};
  if (layout.terminal && layout.terminal_rows != 0) {
    process["consoleSize"] = {{"height", layout.terminal_rows},
                              {"width", layout.terminal_columns}};
  }
  if (!rlimits.empty()) process["rlimits"] = std::move(rlimits);
  return process;
}

Json SystemMounts(const ProcessSpec& spec, const RuntimeLayout& layout) {
  std::vector<std::string> pts = {"nosuid", "noexec", "newinstance",
                                  "ptmxmode=0666", "mode=0620"};
  if (layout.tty_group) pts.push_back("gid=5");
  std::vector<std::string> sys = {"nosuid", "noexec", "nodev"};
  if (!spec.privileged) sys.push_back("ro");
  Json mounts = Json::array();
  mounts.push_back(KernelMount("/proc", "proc", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(KernelMount(
      "/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push_back(KernelMount("/dev/pts", "devpts", std::move(pts)));
  mounts.push_back(
      KernelMount("/dev/mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(
      KernelMount("/dev/shm", "tmpfs",
                  {"nosuid", "noexec", "nodev", "mode=1777",
                   fmt::format("size={}", spec.limits.shm_bytes)}));
  if (layout.bind_sys) {
    std::vector<std::string> bind = sys;
    bind.push_back("rbind");
    mounts.push_back(BindMount("/sys", "/sys", std::move(bind)));
  } else {
    mounts.push_back(KernelMount("/sys", "sysfs", sys));
  }
  mounts.push_back(KernelMount("/sys/fs/cgroup", "cgroup", std::move(sys)));
  return mounts;
}

size_t Depth(const Json& mount) {
  const std::string& path = mount["destination"].get_ref<const std::string&>();
  return static_cast<size_t>(std::count(path.begin(), path.end(), '/'));
}

// Parents first, whatever the order they were asked for in: a mount never
// hides another one of the same container.
void AddOwnMounts(Json& out, const ProcessSpec& spec,
                  const RuntimeLayout& layout) {
  std::vector<Json> mounts;
  for (const RuntimeLayout::InjectedFile& file : layout.injected) {
    mounts.push_back(BindMount(file.source, file.target, {"bind", "private"}));
  }
  if (spec.init) {
    mounts.push_back(
        BindMount(layout.init_program, "/dev/init", {"bind", "private", "ro"}));
  }
  for (size_t i = 0; i < spec.mounts.size(); ++i) {
    const Mount& mount = spec.mounts[i];
    if (mount.type == Mount::Type::kTmpfs) {
      std::vector<std::string> options = {
          "nosuid", "nodev", fmt::format("mode={:o}", mount.tmpfs_mode)};
      if (mount.tmpfs_size != 0) {
        options.push_back(fmt::format("size={}", mount.tmpfs_size));
      }
      if (mount.read_only) options.push_back("ro");
      Json entry = KernelMount("", "tmpfs", std::move(options));
      entry["destination"] = mount.target;
      mounts.push_back(std::move(entry));
      continue;
    }
    std::vector<std::string> options = {"rbind", "rprivate",
                                        mount.read_only ? "ro" : "rw"};
    options.insert(options.end(), mount.options.begin(), mount.options.end());
    mounts.push_back(BindMount(layout.mount_sources.at(i), mount.target,
                               std::move(options)));
  }
  std::stable_sort(
      mounts.begin(), mounts.end(),
      [](const Json& a, const Json& b) { return Depth(a) < Depth(b); });
  for (Json& mount : mounts) out.push_back(std::move(mount));
}

std::string Base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group <<= 8;
      if (i + j < bytes.size()) group |= static_cast<uint8_t>(bytes[i + j]);
    }
    size_t digits = std::min<size_t>(3, bytes.size() - i) + 1;
    for (size_t j = 0; j < 4; ++j) {
      out += j < digits ? kDigits[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return out;
}

Json DeviceEntries(const std::vector<RuntimeLayout::Device>& devices) {
  Json out = Json::array();
  for (const RuntimeLayout::Device& device : devices) {
    out.push_back({{"path", device.path},
                   {"type", device.block ? "b" : "c"},
                   {"major", device.major},
                   {"minor", device.minor},
                   {"fileMode", device.mode},
                   {"uid", 0},
                   {"gid", 0}});
  }
  return out;
}

Json OwnDevices(const std::vector<DeviceNode>& devices) {
  Json out = Json::array();
  for (const DeviceNode& device : devices) {
    out.push_back({{"path", device.path},
                   {"type", device.block ? "b" : "c"},
                   {"major", device.major},
                   {"minor", device.minor},
                   {"fileMode", device.mode},
                   {"uid", device.uid},
                   {"gid", device.gid}});
  }
  return out;
}

Json HookSection(const std::vector<Hook>& hooks) {
  Json out = Json::object();
  for (const Hook& hook : hooks) {
    Json entry = {{"path", hook.path}};
    if (!hook.args.empty()) entry["args"] = hook.args;
    if (!hook.env.empty()) entry["env"] = hook.env;
    if (hook.timeout_seconds != 0) entry["timeout"] = hook.timeout_seconds;
    out[hook.name].push_back(std::move(entry));
  }
  return out;
}

Json ResourcesSection(const ProcessSpec& spec) {
  const ResourceLimits& limits = spec.limits;
  Json out = Json::object();
  // The runtime adds the usual devices to what is allowed.
  if (!spec.privileged) {
    out["devices"] = Json::array({{{"allow", false}, {"access", "rwm"}}});
    for (const DeviceNode& device : spec.devices) {
      out["devices"].push_back({{"allow", true},
                                {"type", device.block ? "b" : "c"},
                                {"major", device.major},
                                {"minor", device.minor},
                                {"access", device.access}});
    }
  } else {
    out["devices"] = Json::array({{{"allow", true}, {"access", "rwm"}}});
  }
  if (limits.memory_bytes != 0) {
    out["memory"] = {{"limit", limits.memory_bytes}};
    if (limits.memory_swap_bytes != 0) {
      out["memory"]["swap"] = limits.memory_swap_bytes;
    }
  }
  if (limits.cpu_quota_us != 0) {
    out["cpu"] = {{"quota", limits.cpu_quota_us},
                  {"period", limits.cpu_period_us}};
  }
  if (limits.cpu_shares != 0) out["cpu"]["shares"] = limits.cpu_shares;
  if (!limits.cpuset_cpus.empty()) out["cpu"]["cpus"] = limits.cpuset_cpus;
  if (!limits.cpuset_mems.empty()) out["cpu"]["mems"] = limits.cpuset_mems;
  if (limits.pids > 0) out["pids"] = {{"limit", limits.pids}};
  return out;
}

Json LinuxSection(const ProcessSpec& spec, const RuntimeLayout& layout) {
  Json namespaces = Json::array({{{"type", "pid"}},
                                 {{"type", "ipc"}},
                                 {{"type", "uts"}},
                                 {{"type", "cgroup"}},
                                 {{"type", "mount"}}});
  if (layout.new_network_namespace) {
    namespaces.push_back({{"type", "network"}});
  }
  Json section = {{"namespaces", std::move(namespaces)}};
  if (layout.runtime_cgroups) {
    section["resources"] = ResourcesSection(spec);
    if (!layout.cgroups_path.empty()) {
      section["cgroupsPath"] = layout.cgroups_path;
    }
  }
  Json devices = DeviceEntries(layout.devices);
  for (Json& device : OwnDevices(spec.devices)) {
    devices.push_back(std::move(device));
  }
  if (!devices.empty()) section["devices"] = std::move(devices);
  if (spec.privileged) return section;
  section["maskedPaths"] = {"/proc/acpi",
                            "/proc/asound",
                            "/proc/kcore",
                            "/proc/keys",
                            "/proc/latency_stats",
                            "/proc/timer_list",
                            "/proc/timer_stats",
                            "/proc/sched_debug",
                            "/proc/scsi",
                            "/sys/firmware",
                            "/sys/devices/virtual/powercap",
                            "/proc/interrupts"};
  section["readonlyPaths"] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                              "/proc/sysrq-trigger"};
  // Spliced in as text by MakeRuntimeSpec: it is most of the file, and always
  // the same.
  if (!layout.seccomp_json.empty()) section["seccomp"] = nullptr;
  return section;
}

}  // namespace

std::string MakeProcessSpec(const ProcessSpec& spec,
                            const RuntimeLayout& layout) {
  try {
    return ProcessSection(spec, layout).dump();
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kStep,
                "exec: an argument or variable is not valid UTF-8");
  }
}

std::vector<std::string> ProcessEnv(const ProcessSpec& spec) {
  std::vector<std::string> env = spec.env;
  for (const std::string& entry : env) {
    if (entry.starts_with("HOME=")) return env;
  }
  env.push_back("HOME=" + (spec.home.empty() ? "/" : spec.home));
  return env;
}

std::string MakeHostsFile(
    const std::string& hostname,
    const std::vector<std::pair<std::string, std::string>>& extra_hosts) {
  std::string text = fmt::format(
      "127.0.0.1\tlocalhost {}\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "ff00::0\tip6-mcastprefix\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n",
      hostname);
  for (const auto& [name, address] : extra_hosts) {
    text += fmt::format("{}\t{}\n", address, name);
  }
  return text;
}

std::string MakeRuntimeSpec(const ProcessSpec& spec,
                            const RuntimeLayout& layout) {
  Json mounts = SystemMounts(spec, layout);
  AddOwnMounts(mounts, spec, layout);
  Json config = {
      {"ociVersion", "1.0.2"},
      {"process", ProcessSection(spec, layout)},
      {"root", {{"path", layout.rootfs}, {"readonly", spec.read_only_rootfs}}},
      {"hostname", spec.hostname.empty() ? kDefaultHostname : spec.hostname},
      {"mounts", std::move(mounts)},
      {"linux", LinuxSection(spec, layout)}};
  if (!spec.hooks.empty()) config["hooks"] = HookSection(spec.hooks);
  if (!spec.privileged && !layout.seccomp_program.empty()) {
    config["annotations"] = {
        {"run.oci.seccomp_bpf_data", Base64(layout.seccomp_program)}};
  }
  try {
    std::string text = config.dump();
    // Inside a JSON string the quotes would be escaped: this is the key.
    static constexpr std::string_view kHole = "\"seccomp\":null";
    if (size_t at = text.find(kHole); at != std::string::npos) {
      text.replace(at + kHole.size() - 4, 4, layout.seccomp_json);
    }
    return text;
  } catch (const Json::exception&) {
    // JSON is UTF-8; a path or variable of an image may be anything.
    throw Error(ErrorCode::kStep,
                "run: an argument, variable or path is not valid UTF-8")
        .WithHint("the OCI runtime takes its configuration as JSON");
  }
}

}  // namespace imgbuild::exec
