#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/container/run.h"
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

Volume ParseVolume(const std::string& text) {
  const auto invalid = [&](const std::string& why) {
    return Error(ErrorCode::kUsage,
                 fmt::format("invalid volume {}: {}", Quoted(text), why))
        .WithHint("the form is /HOST/PATH:/CONTAINER/PATH[:ro|rw]");
  };
  const std::vector<std::string> parts = Split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) {
    throw invalid("it has no host path and container path");
  }
  Volume volume{parts[0], parts[1], false};
  if (!volume.source.starts_with('/')) {
    throw invalid("named volumes are not supported; the host path is absolute");
  }
  if (!volume.target.starts_with('/')) {
    throw invalid("the container path is absolute");
  }
  if (fs::CleanRelative(volume.target).empty()) {
    throw invalid("the container path is its root");
  }
  if (parts.size() == 3) {
    if (parts[2] != "ro" && parts[2] != "rw") {
      throw invalid("the mode is ro or rw");
    }
    volume.read_only = parts[2] == "ro";
  }
  return volume;
}

exec::ProcessSpec MakeProcess(const oci::ImageConfig& config,
                              const RunOptions& options, const FileTree& root) {
  exec::ProcessSpec spec;
  std::vector<std::string> command = options.command;
  std::vector<std::string> entrypoint;
  if (options.entrypoint) {
    if (!options.entrypoint->empty()) entrypoint = {*options.entrypoint};
  } else {
    entrypoint = config.entrypoint.value_or(std::vector<std::string>{});
    if (command.empty()) {
      command = config.cmd.value_or(std::vector<std::string>{});
    }
  }
  spec.args = entrypoint;
  spec.args.insert(spec.args.end(), command.begin(), command.end());
  if (spec.args.empty()) {
    throw Error(ErrorCode::kUsage, "no command specified")
        .WithHint(
            "the image has neither ENTRYPOINT nor CMD: give a command "
            "after its name");
  }
  spec.env = config.env;
  for (const std::string& pair : options.env) SetEnv(spec.env, pair);
  spec.hostname = options.hostname;
  SetEnv(spec.env, "HOSTNAME=" + spec.hostname);
  if (options.terminal && !HasEnv(spec.env, "TERM")) {
    spec.env.emplace_back("TERM=xterm");
  }
  if (!HasEnv(spec.env, "PATH")) {
    spec.env.emplace_back(
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  }
  const exec::ResolvedUser user = exec::ResolveUser(
      root, options.user.empty() ? config.user : options.user);
  spec.user = {user.uid, user.gid, user.groups};
  spec.home = user.home;
  spec.cwd = !options.working_dir.empty() ? options.working_dir
             : config.working_dir.empty() ? "/"
                                          : config.working_dir;
  if (!spec.cwd.starts_with('/')) {
    throw Error(ErrorCode::kUsage,
                fmt::format("the working directory {} is not absolute",
                            Quoted(spec.cwd)));
  }
  spec.read_only_rootfs = options.read_only;
  spec.network = options.network;
  spec.extra_hosts = options.extra_hosts;
  const auto in_root = [&](const std::string& target) {
    return "/" + ResolveInTree(root, fs::CleanRelative(target), true);
  };
  for (const Volume& volume : options.volumes) {
    exec::Mount mount;
    mount.source = volume.source;
    mount.target = in_root(volume.target);
    mount.read_only = volume.read_only;
    spec.mounts.push_back(std::move(mount));
  }
  for (const std::string& target : options.tmpfs) {
    exec::Mount mount;
    mount.type = exec::Mount::Type::kTmpfs;
    mount.target = in_root(target);
    spec.mounts.push_back(std::move(mount));
  }
  return spec;
}

}  // namespace imgbuild::container
