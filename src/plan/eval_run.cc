// RUN: the command, its mounts, what it may do.
#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "plan/eval.h"
#include "plan/go_format.h"

namespace imgbuild::plan {
namespace {

using dockerfile::MountSpec;

Error At(const SourceRange& range, std::string message) {
  Error error(ErrorCode::kDockerfile, std::move(message));
  error.At(range);
  return error;
}

constexpr char kScriptDir[] = "/dev/pipes/";

}  // namespace

std::vector<std::string> StageEvaluator::WithShell(
    const std::string& text) const {
  std::vector<std::string> argv =
      ShellSet() ? *state_.config.shell
                 : std::vector<std::string>{"/bin/sh", "-c"};
  argv.push_back(text);
  return argv;
}

std::vector<std::string> StageEvaluator::Argv(
    const dockerfile::Command& command) const {
  if (command.form == dockerfile::Command::Form::kExec) return command.exec;
  return WithShell(command.shell);
}

std::string StageEvaluator::HistoryOfRun(
    const std::vector<std::string>& args) const {
  std::vector<std::string> shown;  // K=V, each name once, latest value
  state_.args.ForEach(
      [&](const std::string& name, const std::optional<std::string>& value) {
        shown.push_back(name + "=" +
                        state_.env.Find(name).value_or(value.value_or("")));
      });
  std::string text = "RUN ";
  if (!shown.empty()) {
    text += fmt::format("|{} {} ", shown.size(), Join(shown, " "));
  }
  return text + Join(args, " ");
}

std::string StageEvaluator::ResolveNetwork(const dockerfile::Run& run) const {
  if (!run.network) return context_.options.network;
  const std::string& mode = run.network->text;
  if (mode == "default") return context_.options.network;
  if (mode == "none") return mode;
  if (mode != "host") {
    Error error = At(run.network->range,
                     fmt::format("invalid network mode {}", Quoted(mode)));
    error.WithHint("RUN --network takes default, none or host");
    throw error;
  }
  RequireEntitlement("network.host", *run.network);
  return mode;
}

void StageEvaluator::RequireEntitlement(const std::string& name,
                                        const dockerfile::Word& word) const {
  // A check builds nothing that would need trust.
  if (context_.lint != nullptr) return;
  if (context_.options.entitlements.contains(name)) return;
  Error error = At(word.range, fmt::format("{} is not allowed", name));
  error.WithHint(
      fmt::format("if you trust this Dockerfile, build it with "
                  "--allow {}",
                  name));
  throw error;
}

RunMount StageEvaluator::MakeMount(const dockerfile::RawMount& raw,
                                   size_t index,
                                   std::vector<VertexIndex>& inputs) {
  RunMount mount;
  mount.spec = dockerfile::ResolveMount(
      raw, [this](const dockerfile::Word& value) { return Expand(value); });
  Needed(mount.spec);
  std::string target = mount.spec.target;
  if (mount.spec.type == MountSpec::Type::kSsh && target.empty()) {
    target = fmt::format("/run/buildkit/ssh_agent.{}", index);
  }
  if (!target.starts_with('/')) {
    target = state_.config.working_dir + "/" + target;
  }
  mount.target = "/" + fs::CleanRelative(target);
  const bool env_only = mount.spec.type == MountSpec::Type::kSecret &&
                        mount.spec.env && mount.spec.target.empty();
  if (mount.target == "/" && !env_only) {
    throw At(raw.range, fmt::format("invalid mount target {}: it is the root "
                                    "directory",
                                    Quoted(mount.spec.target)));
  }
  if (mount.spec.from) {
    dockerfile::Word word{*mount.spec.from, raw.range};
    if (const auto from = MountFrom(raw)) word.range = from->range;
    if (dockerfile::HasVariable(word.text, context_.file.escape)) {
      Error error = At(word.range,
                       "variables are not expanded in a mount's "
                       "from");
      error.WithHint(
          fmt::format("define a stage for it: FROM {} AS source, "
                      "then from=source",
                      word.text));
      throw error;
    }
    if (word.text != "scratch") {
      mount.from = SourceFrom(word, false, "RUN --mount", inputs);
    }
  } else if (mount.spec.type == MountSpec::Type::kBind) {
    mount.from = FileSource{};
  }
  return mount;
}

void StageEvaluator::Do(const dockerfile::Run& run) {
  RunOp op;
  std::vector<VertexIndex> inputs;
  if (run.only_heredoc && run.heredocs.size() == 1) {
    const dockerfile::Heredoc& heredoc = run.heredocs.front();
    if (heredoc.body.starts_with("#!")) {
      op.script = RunOp::Script{kScriptDir + heredoc.name, heredoc.body};
      op.args = WithShell(op.script->path);
    } else {
      op.args = WithShell(heredoc.body);
    }
  } else if (!run.heredocs.empty()) {
    op.args = WithShell(run.script);
  } else {
    op.args = Argv(run.command);
  }
  if (op.args.empty()) {
    throw At(run.command.range, "RUN needs a command");
  }
  op.network = ResolveNetwork(run);
  if (run.security) {
    const std::string& mode = run.security->text;
    if (mode != "sandbox" && mode != "insecure") {
      Error error = At(run.security->range,
                       fmt::format("invalid security mode {}", Quoted(mode)));
      error.WithHint("RUN --security takes sandbox or insecure");
      throw error;
    }
    if (mode == "insecure") {
      RequireEntitlement("security.insecure", *run.security);
      op.insecure = true;
    }
  }
  op.devices = Devices(run);
  size_t agents = 0;  // numbers the sockets that name no target
  for (const dockerfile::RawMount& mount : run.mounts) {
    op.mounts.push_back(MakeMount(mount, agents, inputs));
    if (op.mounts.back().spec.type == MountSpec::Type::kSsh) ++agents;
  }
  op.env = [env = state_.env] { return env.AsEnv(); };
  for (const std::string& proxy : ProxyEnv(context_.options.build_args)) {
    if (!state_.env.Has(proxy.substr(0, proxy.find('=')))) {
      op.hidden_env.push_back(proxy);
    }
  }
  op.cwd = "/" + fs::CleanRelative(state_.config.working_dir);
  op.user = state_.config.user;
  const auto hostname =
      context_.options.build_args.find("BUILDKIT_SANDBOX_HOSTNAME");
  if (hostname != context_.options.build_args.end()) {
    op.hostname = hostname->second;
  }
  op.extra_hosts = context_.options.extra_hosts;
  op.shm_bytes = context_.options.shm_bytes;
  op.ulimits = context_.options.ulimits;
  op.cgroup_parent = context_.options.cgroup_parent;
  const std::string history = HistoryOfRun(op.args) + " # buildkit";
  AddLayer(std::move(op), std::move(inputs), history);
  if (run.no_cache) context_.graph.vertices[state_.vertex].no_cache = true;
}

}  // namespace imgbuild::plan
