// Instructions that only change the config (and WORKDIR, which may make a
// directory).
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "plan/eval.h"
#include "plan/go_format.h"
#include "plan/ports.h"

namespace imgbuild::plan {
namespace {

// Names of signal(7) on Linux, as Docker's moby/sys/signal accepts them.
constexpr std::string_view kSignals[] = {
    "ABRT", "ALRM", "BUS",   "CHLD",   "CLD",  "CONT", "FPE",    "HUP",
    "ILL",  "INT",  "IO",    "IOT",    "KILL", "PIPE", "POLL",   "PROF",
    "PWR",  "QUIT", "SEGV",  "STKFLT", "STOP", "SYS",  "TERM",   "TRAP",
    "TSTP", "TTIN", "TTOU",  "URG",    "USR1", "USR2", "VTALRM", "WINCH",
    "XCPU", "XFSZ", "RTMIN", "RTMAX"};

bool IsSignal(std::string_view text) {
  if (const auto number = ParseUint(text)) return *number >= 1 && *number <= 64;
  std::string name(text);
  std::ranges::transform(name, name.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  std::string_view word = name;
  if (word.starts_with("SIG")) word.remove_prefix(3);
  if (std::ranges::find(kSignals, word) != std::end(kSignals)) return true;
  // RTMIN+1 … RTMAX-14.
  for (const std::string_view base : {"RTMIN+", "RTMAX-"}) {
    if (word.starts_with(base)) {
      const auto n = ParseUint(word.substr(base.size()));
      return n && *n >= 1 && *n <= (base == "RTMIN+" ? 15 : 14);
    }
  }
  return false;
}

}  // namespace

bool StageEvaluator::ShellSet() const {
  return state_.config.shell && !state_.config.shell->empty();
}

void StageEvaluator::Do(const dockerfile::Cmd& cmd) {
  const std::vector<std::string> argv = Argv(cmd.command);
  state_.config.cmd = argv;
  state_.config.args_escaped = true;
  state_.cmd_set = true;
  linter_.Cmd(cmd.command, ShellSet());
  AddHistory("CMD " + GoQuoteList(argv));
}

void StageEvaluator::Do(const dockerfile::Entrypoint& entrypoint) {
  const std::vector<std::string> argv = Argv(entrypoint.command);
  linter_.Entrypoint(entrypoint.command, ShellSet());
  if (argv.empty()) {
    state_.config.entrypoint.reset();
  } else {
    state_.config.entrypoint = argv;
  }
  // A CMD that the base brought along belongs to the base's entrypoint.
  if (!state_.cmd_set) state_.config.cmd.reset();
  AddHistory("ENTRYPOINT " + GoQuoteList(argv));
}

void StageEvaluator::Do(const dockerfile::Env& env) {
  std::string text = "ENV";
  // All values see the environment as it was at the start of the line.
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const dockerfile::KeyValue& pair : env.pairs) {
    pairs.emplace_back(Expand(pair.key), Expand(pair.value));
  }
  for (const auto& [key, value] : pairs) {
    if (env.legacy) linter_.LegacyPair();
    linter_.SecretName("ENV", key);
    state_.env.Set(key, value);
    state_.config.env.Set(key, value);
    text += " " + key + "=" + value;
  }
  AddHistory(text);
}

void StageEvaluator::Do(const dockerfile::Label& label) {
  std::string text = "LABEL";
  for (const dockerfile::KeyValue& pair : label.pairs) {
    const std::string key = Expand(pair.key);
    const std::string value = Expand(pair.value);
    if (label.legacy) linter_.LegacyPair();
    state_.config.labels.Set(key, value);
    text += " " + key + "=" + value;
  }
  AddHistory(text);
}

void StageEvaluator::Do(const dockerfile::Maintainer& maintainer) {
  state_.config.author = maintainer.name.text;
  AddHistory("MAINTAINER " + maintainer.name.text);
}

void StageEvaluator::Do(const dockerfile::Expose& expose) {
  // The words are sorted, not the ports that they stand for.
  std::vector<std::pair<std::string, SourceRange>> words;
  for (const dockerfile::Word& word : expose.ports) {
    const dockerfile::ExpandWordsResult expanded = dockerfile::ExpandWords(
        word, state_.env.AsLookup(), context_.file.escape);
    for (const std::string& text : expanded.words) {
      words.emplace_back(text, word.range);
    }
  }
  std::ranges::stable_sort(
      words, {}, [](const auto& word) -> const auto& { return word.first; });
  std::vector<std::string> ports;
  std::set<std::string> known;
  for (const auto& [text, range] : words) {
    linter_.Port(text, range);
    for (std::string& port : ParsePorts(text, range)) {
      if (!known.insert(port).second) continue;
      ports.push_back(std::move(port));
    }
  }
  for (const std::string& port : ports) {
    state_.config.exposed_ports.Set(port, {});
  }
  AddHistory("EXPOSE " + GoList(ports));
}

void StageEvaluator::Do(const dockerfile::User& user) {
  state_.config.user = Expand(user.user);
  AddHistory("USER " + state_.config.user);
}

void StageEvaluator::Do(const dockerfile::Workdir& workdir) {
  const std::string path = Expand(workdir.path);
  if (!std::exchange(state_.workdir_set, true)) linter_.FirstWorkdir(path);
  const std::string base =
      path.starts_with('/') ? "" : state_.config.working_dir + "/";
  const std::string clean = "/" + fs::CleanRelative(base + path);
  // An absolute path stands in the config as it was written.
  state_.config.working_dir = path.starts_with('/') ? path : clean;
  const std::string text = "WORKDIR " + state_.config.working_dir;
  if (clean == "/") {
    AddHistory(text);
    return;
  }
  AddLayer(WorkdirOp{clean, state_.config.user}, {}, text);
}

void StageEvaluator::Do(const dockerfile::Volume& volume) {
  std::vector<std::string> paths;
  for (const dockerfile::Word& word : volume.paths) {
    const std::string path(Trim(Expand(word)));
    if (path.empty()) {
      Error error(ErrorCode::kDockerfile,
                  "VOLUME specified can not be an empty string");
      throw error.At(word.range);
    }
    paths.push_back(path);
    state_.config.volumes.Set(path, {});
  }
  AddHistory("VOLUME " + GoList(paths));
}

void StageEvaluator::Do(const dockerfile::StopSignal& signal) {
  const std::string text = Expand(signal.signal);
  if (!IsSignal(text)) {
    Error error(ErrorCode::kDockerfile,
                fmt::format("invalid signal: {}", Quoted(text)));
    error.At(signal.signal.range);
    std::vector<std::string> names;
    for (const std::string_view name : kSignals) {
      names.push_back("SIG" + std::string(name));
    }
    if (const auto near = Suggest(text, names)) {
      error.WithHint(fmt::format("did you mean {}?", *near));
    }
    throw error;
  }
  state_.config.stop_signal = text;
  AddHistory("STOPSIGNAL " + text);
}

void StageEvaluator::Do(const dockerfile::Healthcheck& check) {
  linter_.Healthcheck();
  oci::Healthcheck out;
  if (check.none) {
    out.test = {"NONE"};
  } else if (check.command.form == dockerfile::Command::Form::kShell) {
    out.test = {"CMD-SHELL", check.command.shell};
  } else {
    out.test = {"CMD"};
    out.test.insert(out.test.end(), check.command.exec.begin(),
                    check.command.exec.end());
  }
  out.interval_ns = check.interval_ns;
  out.timeout_ns = check.timeout_ns;
  out.start_period_ns = check.start_period_ns;
  out.start_interval_ns = check.start_interval_ns;
  out.retries = check.retries;
  state_.config.healthcheck = out;
  AddHistory("HEALTHCHECK " + GoQuoteHealthcheck(out));
}

void StageEvaluator::Do(const dockerfile::Shell& shell) {
  state_.config.shell = shell.argv;
  AddHistory("SHELL " + GoList(shell.argv));
}

void StageEvaluator::Do(const dockerfile::Arg& arg) {
  std::string text = "ARG";
  for (const dockerfile::ArgDeclaration& declaration : arg.declarations) {
    // Each declaration of a line sees the ones before it.
    const std::string name = Expand(declaration.name);
    linter_.SecretName("ARG", name);
    std::optional<std::string> value;
    bool inherited = false;
    const auto given = context_.options.build_args.find(name);
    if (given != context_.options.build_args.end()) {
      value = given->second;
    } else if (declaration.value) {
      value = Expand(*declaration.value);
    } else {
      value = context_.globals.variables().Find(name);
      inherited = value.has_value();
    }
    Declared(name, value, inherited);
    text += " " + name;
    if (value) text += "=" + *value;
    const bool is_env = !name.starts_with("BUILDKIT_SBOM_SCAN_");
    if (value && is_env) state_.env.Set(name, *value);
    state_.args.Set(name, value);
    context_.declared.insert(name);
  }
  AddHistory(text);
}

void StageEvaluator::Declared(const std::string& name,
                              const std::optional<std::string>& value,
                              bool inherited) {
  if (context_.outline == nullptr) return;
  OutlineCapture::OfStage& stage = context_.outline->stages[info_.index];
  if (inherited) {
    stage.inherited.push_back(name);
  } else {
    stage.args.push_back({name, value,
                          DescriptionOf(instruction_->comments, name),
                          instruction_->range});
  }
}

void StageEvaluator::Needed(const dockerfile::MountSpec& mount) {
  if (context_.outline == nullptr) return;
  OutlineCapture::OfStage& stage = context_.outline->stages[info_.index];
  if (mount.type == dockerfile::MountSpec::Type::kSecret) {
    stage.secrets.push_back({mount.id, mount.required, instruction_->range});
  } else if (mount.type == dockerfile::MountSpec::Type::kSsh) {
    stage.ssh.push_back({mount.id.empty() ? "default" : mount.id,
                         mount.required, instruction_->range});
  }
}

void StageEvaluator::Do(const dockerfile::OnBuild& trigger) {
  // Stored as written, run by the child: no history, nothing expanded.
  state_.config.on_build.push_back(trigger.trigger);
}

}  // namespace imgbuild::plan
