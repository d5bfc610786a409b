// RUN: a process on top of the parent's files; what it changed is the layer.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/exec/ulimit.h"
#include "imgbuild/exec/user.h"
#include "imgbuild/layer/diff.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "build/run_mounts.h"
#include "build/step.h"

namespace imgbuild::build {
namespace {

constexpr char kHostname[] = "buildkitsandbox";

exec::NetworkMode ToMode(const std::string& network) {
  if (network == "none") return exec::NetworkMode::kNone;
  if (network == "host") return exec::NetworkMode::kHost;
  return exec::NetworkMode::kDefault;
}

// BuildKit sets it for the first agent socket, forwarded or not.
void AddAgentVariable(const plan::RunOp& op, std::vector<std::string>& env) {
  const auto is_agent = [](const plan::RunMount& mount) {
    return mount.spec.type == dockerfile::MountSpec::Type::kSsh;
  };
  const auto mount = std::ranges::find_if(op.mounts, is_agent);
  if (mount == op.mounts.end()) return;
  for (const std::string& pair : env) {
    if (pair.starts_with("SSH_AUTH_SOCK=")) return;
  }
  env.push_back("SSH_AUTH_SOCK=" + mount->target);
}

exec::ProcessSpec MakeSpec(const plan::RunOp& op,
                           const exec::ResourceLimits& limits,
                           const exec::ContainerEdits& edits,
                           const FileTree& root, const RunMounts& mounts) {
  exec::ProcessSpec spec;
  spec.args = op.args;
  spec.env = op.env();
  spec.env.insert(spec.env.end(), op.hidden_env.begin(), op.hidden_env.end());
  spec.env.insert(spec.env.end(), mounts.secret_env().begin(),
                  mounts.secret_env().end());
  AddAgentVariable(op, spec.env);
  spec.cwd = op.cwd;
  const exec::ResolvedUser user = exec::ResolveUser(root, op.user);
  spec.user = {user.uid, user.gid, user.groups};
  // The primary group is one of the process's groups, as it is after a login.
  if (std::ranges::find(user.groups, user.gid) == user.groups.end()) {
    spec.user.groups.insert(spec.user.groups.begin(), user.gid);
  }
  spec.home = user.home;
  spec.hostname = op.hostname.empty() ? kHostname : op.hostname;
  spec.mounts = mounts.mounts();
  spec.network = ToMode(op.network);
  spec.extra_hosts = op.extra_hosts;
  spec.privileged = op.insecure;
  spec.limits = limits;
  if (op.shm_bytes != 0) spec.limits.shm_bytes = op.shm_bytes;
  for (const std::string& limit : op.ulimits) {
    spec.limits.ulimits.push_back(exec::ParseUlimit(limit));
  }
  spec.limits.cgroup_parent = op.cgroup_parent;
  exec::ApplyEdits(edits, spec);
  return spec;
}

exec::ContainerEdits EditsOf(Step& step, const plan::RunOp& op) {
  std::vector<std::string> names;
  for (const auto& [name, recipe] : op.devices) names.push_back(name);
  if (names.empty()) return {};
  return step.state().request.devices->EditsOf(names);
}

// What went wrong, in the words of `docker build`, and why it may have.
Error Failure(const plan::RunOp& op, const exec::ExitResult& result) {
  const std::string command = Join(op.args, " ");
  if (!result.start_error.empty()) {
    Error error(ErrorCode::kStep,
                fmt::format("process {} could not be started: {}",
                            Quoted(command), result.start_error));
    if (result.exit_code == 127) {
      error.WithHint("the program is not in the image, or not in its PATH");
    }
    return error;
  }
  Error error(ErrorCode::kStep,
              fmt::format("process {} did not complete successfully: exit "
                          "code: {}",
                          Quoted(command), result.exit_code));
  if (result.out_of_memory) {
    error.WithHint("the process was killed because memory ran out");
  } else if (result.exit_code == 137) {
    error.WithHint("killed by signal 9: most often the host ran out of memory");
  } else if (result.exit_code == 127) {
    error.WithHint("127 means that a command was not found in the image");
  } else if (result.exit_code == 126) {
    error.WithHint(
        "126 means that a file is not executable: its mode, a "
        "missing interpreter, or another architecture");
  }
  return error;
}

}  // namespace

std::optional<store::StoredLayer> PerformRun(Step& step,
                                             const plan::RunOp& op) {
  const auto root = step.ParentTree();
  const exec::ContainerEdits edits = EditsOf(step, op);
  const RunMounts mounts(step, op, edits, *root);
  exec::ProcessSpec spec =
      MakeSpec(op, step.state().request.limits, edits, *root, mounts);
  const auto active =
      step.env().store.snapshots().Prepare(step.parent().layers.DiffIds());
  spec.rootfs = active->mount();
  exec::ExecIo io;
  io.on_output = [&](int stream, std::string_view bytes) {
    step.env().progress.Log(step.progress_id(), stream, bytes);
  };
  const exec::ExitResult result =
      step.env().executor.Run(spec, io, step.state().cancel);
  if (result.exit_code != 0 || !result.start_error.empty()) {
    throw Failure(op, result);
  }
  auto layer = step.WriteLayer([&](layer::LayerWriter& writer) {
    layer::DiffOptions options;
    options.epoch = step.vertex().epoch;
    options.opaque_xattr = step.env().store.snapshots().opaque_xattr();
    layer::EmitUpper(
        active->upper_fd(), *active->lower(), options,
        [&](const layer::Entry& entry, Reader* content) {
          writer.Add(entry, content);
        },
        step.state().cancel);
  });
  // With the epoch: later steps must see the times that the layer has, not
  // those of this run.
  if (layer) active->Commit(layer->diff_id, step.vertex().epoch);
  return layer;
}

}  // namespace imgbuild::build
