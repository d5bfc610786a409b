#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <map>

#include "imgbuild/container/config.h"
#include "imgbuild/exec/user.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::container {
namespace {

void SetEnv(std::vector<std::string>& env, const std::string& pair) {
  const std::string name = pair.substr(0, pair.find('=') + 1);
  const auto it = std::ranges::find_if(
      env, [&](const std::string& e) { return e.starts_with(name); });
  if (it == env.end()) {
    env.push_back(pair);
  } else {
    *it = pair;
  }
}

bool HasEnv(const std::vector<std::string>& env, const std::string& name) {
  return std::ranges::any_of(
      env, [&](const std::string& e) { return e.starts_with(name + "="); });
}

}  // namespace

std::vector<std::string> CommandOf(const oci::ImageConfig& image,
                                   const Config& config) {
  std::vector<std::string> command = config.command;
  std::vector<std::string> args;
  if (config.entrypoint) {
    if (!config.entrypoint->empty()) args = {*config.entrypoint};
  } else {
    args = image.entrypoint.value_or(std::vector<std::string>{});
    if (command.empty()) {
      command = image.cmd.value_or(std::vector<std::string>{});
    }
  }
  args.insert(args.end(), command.begin(), command.end());
  return args;
}

std::optional<oci::Healthcheck> HealthcheckOf(const oci::ImageConfig& image,
                                              const Config& config) {
  std::optional<oci::Healthcheck> health = image.healthcheck;
  if (config.health) {
    // A flag without --health-cmd changes the image's check.
    if (!health || !config.health->test.empty()) health = oci::Healthcheck();
    const oci::Healthcheck& flags = *config.health;
    if (!flags.test.empty()) health->test = flags.test;
    const auto take = [](int64_t& to, int64_t from) {
      if (from != 0) to = from;
    };
    take(health->interval_ns, flags.interval_ns);
    take(health->timeout_ns, flags.timeout_ns);
    take(health->start_period_ns, flags.start_period_ns);
    take(health->start_interval_ns, flags.start_interval_ns);
    take(health->retries, flags.retries);
  }
  if (!health || health->test.empty() || health->test.front() == "NONE") {
    return std::nullopt;
  }
  return health;
}

int StopSignalOf(const oci::ImageConfig& image, const Config& config) {
  if (!config.stop_signal.empty()) return ParseSignal(config.stop_signal);
  return image.stop_signal.empty() ? SIGTERM : ParseSignal(image.stop_signal);
}

std::vector<std::pair<std::string, std::string>> LabelsOf(
    const oci::ImageConfig& image, const Config& config) {
  std::map<std::string, std::string> labels = image.labels;
  for (const auto& [key, value] : config.labels) labels[key] = value;
  return {labels.begin(), labels.end()};
}

namespace {

void SetIdentity(const oci::ImageConfig& image, const Config& config,
                 const FileTree& root, exec::ProcessSpec& spec) {
  const exec::ResolvedUser user =
      exec::ResolveUser(root, config.user.empty() ? image.user : config.user);
  spec.user = {user.uid, user.gid, user.groups};
  for (const std::string& group : config.groups) {
    const exec::Ownership owner = exec::ResolveChown(root, "0:" + group);
    spec.user.groups.push_back(owner.gid);
  }
  spec.home = user.home;
  spec.privileged = config.privileged;
  spec.cap_add = config.cap_add;
  spec.cap_drop = config.cap_drop;
  spec.no_new_privileges = config.no_new_privileges;
  spec.seccomp_unconfined = config.seccomp_unconfined;
}

void SetNetwork(const Config& config, exec::ProcessSpec& spec) {
  using exec::NetworkMode;
  spec.network = config.network == "none"   ? NetworkMode::kNone
                 : config.network == "host" ? NetworkMode::kHost
                 : config.network.starts_with("container:")
                     ? NetworkMode::kJoin
                     : NetworkMode::kDefault;
  spec.extra_hosts = config.extra_hosts;
  if (spec.network == NetworkMode::kDefault) spec.ports = config.ports;
  if (config.dns.empty() && config.dns_search.empty() &&
      config.dns_options.empty()) {
    return;
  }
  std::string text;
  for (const std::string& server : config.dns) {
    text += "nameserver " + server + "\n";
  }
  if (!config.dns_search.empty()) {
    text += "search " + Join(config.dns_search, " ") + "\n";
  }
  if (!config.dns_options.empty()) {
    text += "options " + Join(config.dns_options, " ") + "\n";
  }
  spec.resolv_conf = text;
}

void AddMounts(const Config& config, const FileTree& root,
               exec::ProcessSpec& spec) {
  for (const Volume& volume : config.volumes) {
    exec::Mount mount;
    mount.target =
        "/" + ResolveInTree(root, fs::CleanRelative(volume.target), true);
    mount.read_only = volume.read_only;
    if (volume.type == Volume::Type::kTmpfs) {
      mount.type = exec::Mount::Type::kTmpfs;
      mount.tmpfs_size = volume.tmpfs_size;
      mount.tmpfs_mode = volume.tmpfs_mode;
    } else {
      mount.source = volume.source;
    }
    spec.mounts.push_back(std::move(mount));
  }
}

}  // namespace

exec::ProcessSpec MakeProcess(const oci::ImageConfig& image,
                              const Config& config, const FileTree& root) {
  exec::ProcessSpec spec;
  spec.args = CommandOf(image, config);
  if (spec.args.empty()) {
    throw Error(ErrorCode::kUsage, "no command specified")
        .WithHint(
            "the image has neither ENTRYPOINT nor CMD: give a command "
            "after its name");
  }
  spec.env = image.env;
  for (const std::string& pair : config.env) SetEnv(spec.env, pair);
  spec.hostname = config.hostname;
  SetEnv(spec.env, "HOSTNAME=" + spec.hostname);
  if (config.terminal && !HasEnv(spec.env, "TERM")) {
    spec.env.emplace_back("TERM=xterm");
  }
  if (!HasEnv(spec.env, "PATH")) {
    spec.env.emplace_back(
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  }
  SetIdentity(image, config, root, spec);
  spec.cwd = !config.working_dir.empty() ? config.working_dir
             : image.working_dir.empty() ? "/"
                                         : image.working_dir;
  if (!spec.cwd.starts_with('/')) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the working directory {} is not absolute",
                            Quoted(spec.cwd)));
  }
  spec.read_only_rootfs = config.read_only;
  spec.init = config.init;
  spec.limits = config.limits;
  SetNetwork(config, spec);
  AddMounts(config, root, spec);
  return spec;
}

}  // namespace imgbuild::container
