#include "imgbuild/plan/planner.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/plan/epoch.h"
#include "imgbuild/plan/named_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "plan/eval.h"
#include "plan/names.h"

namespace imgbuild::plan {
namespace {

VertexIndex AddVertex(BuildGraph& graph, Vertex vertex) {
  graph.vertices.push_back(std::move(vertex));
  return static_cast<VertexIndex>(graph.vertices.size() - 1);
}

// Every history entry that we add says when (the epoch) and who made it.
oci::History MakeHistory(const StageState& state, std::string created_by,
                         bool empty) {
  oci::History history;
  history.created = FormatRfc3339(state.epoch);
  history.created_by = std::move(created_by);
  history.comment = "buildkit.dockerfile.v0";
  history.empty_layer = empty;
  return history;
}

bool MakesStep(const dockerfile::Instruction& instruction) {
  return std::holds_alternative<dockerfile::Run>(instruction.node) ||
         std::holds_alternative<dockerfile::Copy>(instruction.node) ||
         std::holds_alternative<dockerfile::Workdir>(instruction.node);
}

void UsePlatform(const PlanContext& context, const StageInfo& info,
                 StageState& state) {
  state.platform =
      info.platform ? *info.platform : context.options.target_platform;
}

// Of the build, else of an ARG before the first FROM; an empty one says
// nothing.
std::optional<int64_t> GivenEpoch(const PlanContext& context) {
  constexpr std::string_view kName = "SOURCE_DATE_EPOCH";
  if (context.options.source_date_epoch) {
    return context.options.source_date_epoch;
  }
  if (context.options.build_args.contains(std::string(kName))) {
    return std::nullopt;
  }
  const auto text = context.globals.variables().Find(kName);
  if (!text || text->empty()) return std::nullopt;
  if (const auto epoch = ParseEpoch(*text)) return epoch;
  Error error(ErrorCode::kDockerfile,
              fmt::format("invalid SOURCE_DATE_EPOCH {}", Quoted(*text)));
  for (const dockerfile::Instruction& instruction : context.file.meta_args) {
    const auto& arg = std::get<dockerfile::Arg>(instruction.node);
    for (const dockerfile::ArgDeclaration& declared : arg.declarations) {
      if (declared.name.text == kName && declared.value) {
        error.At(declared.value->range);
      }
    }
  }
  throw error.WithHint("it is a number of seconds since 1970-01-01");
}

void StartFromScratch(PlanContext& context, const StageInfo& info,
                      StageState& state, const std::string& prefix) {
  // What stands on nothing is for the target, whatever its --platform says.
  state.platform = context.options.target_platform;
  state.epoch = GivenEpoch(context).value_or(kDefaultEpoch);
  state.config.working_dir = "/";
  state.config.env.Set("PATH", kDefaultPath);
  Vertex vertex;
  vertex.op = ScratchOp{};
  vertex.epoch = state.epoch;
  vertex.platform = state.platform;
  vertex.name = prefix + "FROM scratch";
  vertex.stage = info.display_name;
  vertex.range = info.stage->from.range;
  state.vertex = AddVertex(context.graph, std::move(vertex));
}

// A directory that is named as a base: its files, and nothing else. Without
// a --build-arg for the time it gets what FROM scratch gets.
void StartFromDirectory(PlanContext& context, const StageInfo& info,
                        StageState& state, const std::string& prefix) {
  StartFromScratch(context, info, state, prefix);
  CopyOp op;
  op.source.context = *info.context;
  op.patterns.push_back({"/", info.stage->from.range});
  op.destination = "/";
  Vertex vertex;
  vertex.op = std::move(op);
  vertex.parent = state.vertex;
  vertex.epoch = state.epoch;
  vertex.platform = state.platform;
  vertex.name = prefix + "FROM the context " + *info.context;
  vertex.stage = info.display_name;
  vertex.slot = fmt::format(
      "{}/1", info.name.empty() ? std::to_string(info.index) : info.name);
  vertex.range = info.stage->from.range;
  state.vertex = AddVertex(context.graph, std::move(vertex));
  state.steps.push_back(
      {MakeHistory(state, "FROM the context " + *info.context, false),
       state.vertex});
}

void NoteBase(PlanContext& context, const StageInfo& info,
              const oci::Platform& platform, const ImageName& image) {
  const oci::Reference reference =
      oci::Reference::Parse(image.reference).WithDefaultTag();
  const auto& from = std::get<dockerfile::From>(info.stage->from.node);
  ExternalName name;
  name.image = reference;
  name.name = NameOf(reference);
  name.written = info.context ? image.reference : from.image.text;
  name.range = from.image.range;
  name.site = info.context ? "--build-context " + *info.context : "FROM";
  name.stage = info.display_name;
  name.platform = platform;
  if (!info.context) name.args = context.globals.Origins(info.base_args);
  context.graph.names.push_back(std::move(name));
}

void StartFromImage(PlanContext& context, const StageInfo& info,
                    const ImageName& name, StageState& state,
                    const std::string& prefix) {
  const auto& from = std::get<dockerfile::From>(info.stage->from.node);
  try {
    if (name.layout.empty()) NoteBase(context, info, state.platform, name);
    if (!info.context) {
      LintPin(context, oci::Reference::Parse(name.reference).WithDefaultTag(),
              info.stage->from.range, from.image.range);
    }
    state.vertex = ImageVertex(context, name, state.platform, info.display_name,
                               prefix, from.image.range);
  } catch (Error& error) {
    error.At(from.image.range);
    if (error.hint().empty() && !info.context) {
      if (const auto near = Suggest(info.base, context.stages.Names())) {
        error.WithHint(fmt::format("did you mean the stage {}?", *near));
      }
    }
    throw;
  }
  const ResolvedImage& image =
      std::get<ImageOp>(context.graph.vertices[state.vertex].op).image;
  state.base_unknown = IsUnresolved(context, image.name);
  if (!state.base_unknown) {
    LintBasePlatform(context, info, state.platform, image.config.platform);
  }
  state.config = StageConfig(image.config);
  state.epoch = kDefaultEpoch;
  if (const auto given = GivenEpoch(context)) {
    state.epoch = *given;
  } else if (image.config.created) {
    const auto created = ParseRfc3339(*image.config.created);
    if (created && *created > 0) state.epoch = *created;
  }
  if (!state.config.env.Has("PATH")) state.config.env.Set("PATH", kDefaultPath);
}

StageState StartStage(PlanContext& context, const StageInfo& info,
                      const std::string& prefix) {
  StageState state;
  if (info.base_stage) {
    state = EnsureStage(context, *info.base_stage);
    state.cmd_set = false;
    if (info.platform) state.platform = *info.platform;
    return state;
  }
  UsePlatform(context, info, state);
  NamedContext named{NamedContext::Kind::kImage, info.base};
  if (info.context) {
    named = ParseNamedContext(context.options.named_contexts.at(*info.context));
  }
  switch (named.kind) {
    case NamedContext::Kind::kStage:
      state = EnsureStageNamed(context, named.value, info.stage->from.range);
      state.cmd_set = false;
      return state;
    case NamedContext::Kind::kFiles:
      StartFromDirectory(context, info, state, prefix);
      break;
    case NamedContext::Kind::kOciLayout:
      StartFromImage(context, info, {"", named.value}, state, prefix);
      break;
    case NamedContext::Kind::kImage:
      if (ToLower(named.value) == "scratch") {
        StartFromScratch(context, info, state, prefix);
      } else {
        StartFromImage(context, info, {named.value, ""}, state, prefix);
      }
      break;
  }
  for (const std::string& pair : state.config.env.ToVector()) {
    const size_t eq = pair.find('=');
    state.env.Set(pair.substr(0, eq),
                  eq == std::string::npos ? "" : pair.substr(eq + 1));
  }
  return state;
}

// Triggers are located at the FROM line that runs them.
std::vector<dockerfile::Instruction> Triggers(
    const std::vector<std::string>& texts, const StageInfo& info) {
  std::vector<dockerfile::Instruction> out;
  for (const std::string& text : texts) {
    try {
      out.push_back(dockerfile::ParseTrigger(
          std::make_shared<SourceFile>("ONBUILD of " + info.base, text)));
    } catch (Error& error) {
      error.While(fmt::format("while running the ONBUILD triggers of {} ({})",
                              info.base, info.stage->from.range.ToString()));
      throw;
    }
  }
  return out;
}

StageState EvaluateStage(PlanContext& context, const StageInfo& info) {
  size_t total = 1;
  const auto& instructions = info.stage->instructions;
  if (!info.replaced) {
    for (const dockerfile::Instruction& i : instructions) {
      total += MakesStep(i) ? 1 : 0;
    }
  }
  const std::string from_prefix =
      info.display_name.empty()
          ? fmt::format("[1/{}] ", total)
          : fmt::format("[{} 1/{}] ", info.display_name, total);
  StageState state = StartStage(context, info, from_prefix);
  // A stage that a context stands for is not built, so that nothing triggers;
  // what is FROM it runs them.
  if (info.replaced) return state;
  const std::vector<dockerfile::Instruction> triggers =
      Triggers(state.config.on_build, info);
  state.config.on_build.clear();
  for (const dockerfile::Instruction& i : triggers) {
    total += MakesStep(i) ? 1 : 0;
  }
  StageEvaluator evaluator(context, info, state, total);
  evaluator.BeginTriggers();
  for (const dockerfile::Instruction& i : triggers) {
    try {
      evaluator.EvaluateTrigger(i);
    } catch (Error& error) {
      error.While(fmt::format("while running the ONBUILD triggers of {} ({})",
                              info.base, info.stage->from.range.ToString()));
      throw;
    }
  }
  evaluator.EndTriggers();
  for (const dockerfile::Instruction& i : instructions) {
    evaluator.Evaluate(i);
  }
  return state;
}

// A --build-arg that no ARG takes is a typing error more often than not.
void WarnUnusedArgs(PlanContext& context) {
  std::set<std::string> declared = context.declared;
  const auto collect = [&](const dockerfile::Instruction& instruction) {
    const auto* arg = std::get_if<dockerfile::Arg>(&instruction.node);
    if (arg == nullptr) return;
    for (const auto& d : arg->declarations) declared.insert(d.name.text);
  };
  for (const auto& instruction : context.file.meta_args) collect(instruction);
  for (const dockerfile::Stage& stage : context.file.stages) {
    for (const auto& instruction : stage.instructions) collect(instruction);
  }
  const std::vector<std::string> names(declared.begin(), declared.end());
  for (const auto& [name, value] : context.options.build_args) {
    if (declared.contains(name) || IsPredefinedArg(name)) continue;
    if (context.globals.variables().Find(name)) continue;
    PlanWarning warning{"UnusedBuildArg", "", {}};
    warning.message = fmt::format("--build-arg {} is declared by no ARG", name);
    if (const auto near = Suggest(name, names)) {
      warning.message += fmt::format(" (did you mean {}?)", *near);
    }
    context.graph.warnings.push_back(std::move(warning));
  }
}

}  // namespace

VertexIndex ImageVertex(PlanContext& context, const ImageName& name,
                        const oci::Platform& platform, const std::string& stage,
                        const std::string& prefix, const SourceRange& range) {
  std::optional<oci::Reference> reference;
  if (name.layout.empty()) {
    reference = oci::Reference::Parse(name.reference).WithDefaultTag();
  }
  const std::string key =
      (reference ? reference->ToString() : "oci-layout://" + name.layout) +
      " " + platform.ToString();
  if (const auto it = context.images.find(key); it != context.images.end()) {
    return it->second;
  }
  ResolvedImage image =
      reference ? ResolveImage(context, *reference, platform)
                : context.resolver.ResolveLayout(name.layout, platform);
  Vertex vertex;
  vertex.name = prefix + "FROM " +
                (reference ? reference->WithDigest(image.target).ToString()
                           : fmt::format("oci-layout://{} ({})", name.layout,
                                         image.target.ToString()));
  vertex.stage = stage;
  vertex.platform = platform;
  vertex.range = range;
  if (reference) context.graph.images.push_back(image);
  vertex.op = ImageOp{std::move(image)};
  const VertexIndex index = AddVertex(context.graph, std::move(vertex));
  context.images.emplace(key, index);
  return index;
}

const StageState& EnsureStage(PlanContext& context, size_t index) {
  const auto it = context.done.find(index);
  if (it != context.done.end()) return it->second;
  // Evaluate what it stands on first, in ascending order: a chain of many
  // stages must not become a chain of many calls.
  std::vector<size_t> todo = {index};
  std::set<size_t> needed;
  while (!todo.empty()) {
    const size_t next = todo.back();
    todo.pop_back();
    if (context.done.contains(next) || !needed.insert(next).second) continue;
    for (const size_t d : context.stages.DirectDependencies(next)) {
      todo.push_back(d);
    }
  }
  for (const size_t stage : needed) {
    if (context.done.contains(stage)) continue;  // a trigger was faster
    const StageInfo& info = context.stages.at(stage);
    if (!context.evaluating.insert(stage).second) {
      Error error(ErrorCode::kDockerfile,
                  "circular dependency through a --build-context");
      throw error.At(info.stage->from.range);
    }
    StageState state = EvaluateStage(context, info);
    context.evaluating.erase(stage);
    context.done.emplace(stage, std::move(state));
  }
  return context.done.at(index);
}

const StageState& EnsureStageNamed(PlanContext& context,
                                   const std::string& name,
                                   const SourceRange& range) {
  const auto stage = context.stages.FindBefore(name, context.stages.size());
  if (stage) return EnsureStage(context, *stage);
  Error error(
      ErrorCode::kUsage,
      fmt::format("--build-context target:{0}: there is no stage {0}", name));
  error.At(range);
  if (const auto near = Suggest(name, context.stages.Names())) {
    error.WithHint(fmt::format("did you mean {}?", *near));
  }
  throw error;
}

StageEvaluator::StageEvaluator(PlanContext& context, const StageInfo& info,
                               StageState& state, size_t step_total)
    : context_(context),
      info_(info),
      state_(state),
      step_total_(step_total),
      linter_(context.graph.findings, !state.base_unknown) {
  step_ = 1;  // FROM
}

void StageEvaluator::Evaluate(const dockerfile::Instruction& instruction) {
  linter_.Begin(instruction, instruction.range);
  Visit(instruction);
}

void StageEvaluator::EvaluateTrigger(
    const dockerfile::Instruction& instruction) {
  linter_.Begin(instruction, info_.stage->from.range);
  Visit(instruction);
}

void StageEvaluator::Visit(const dockerfile::Instruction& instruction) {
  instruction_ = &instruction;
  try {
    std::visit([this](const auto& node) { Do(node); }, instruction.node);
  } catch (Error& error) {
    error.At(instruction.range);
    throw;
  }
}

void StageEvaluator::Do(const dockerfile::From&) {
  throw Error(ErrorCode::kHost, "FROM inside a stage");  // the parser's promise
}

std::string StageEvaluator::NextPrefix() {
  ++step_;
  const std::string total = std::to_string(step_total_);
  const std::string stage =
      info_.display_name.empty() ? "" : info_.display_name + " ";
  return fmt::format("[{}{:>{}}/{}] ", stage, step_, total.size(), total);
}

std::string StageEvaluator::Expand(const dockerfile::Word& word,
                                   std::set<std::string>* matched) {
  dockerfile::ExpandResult result =
      dockerfile::Expand(word, state_.env.AsLookup(), context_.file.escape);
  WarnUnmatched(result.unmatched, word.range);
  if (matched != nullptr) *matched = std::move(result.matched);
  return std::move(result.text);
}

bool StageEvaluator::IsDeclared(const std::string& name) const {
  return state_.args.Find(name) != nullptr;
}

void StageEvaluator::WarnUnmatched(const std::set<std::string>& names,
                                   const SourceRange& range) {
  for (const std::string& name : names) {
    if (IsDeclared(name)) continue;
    std::vector<std::string> known;
    // Nobody has so many variables; a file that was made to hurt may.
    constexpr size_t kMostSuggestions = 500;
    if (state_.env.size() <= kMostSuggestions) {
      for (const std::string& pair : state_.env.AsEnv()) {
        known.push_back(pair.substr(0, pair.find('=')));
      }
    }
    linter_.UndefinedVar(name, known, range);
  }
}

void StageEvaluator::AddHistory(const std::string& created_by) {
  state_.steps.push_back({MakeHistory(state_, created_by, true), std::nullopt});
}

void StageEvaluator::AddLayer(Op op, std::vector<VertexIndex> inputs,
                              const std::string& created_by) {
  Vertex vertex;
  vertex.op = std::move(op);
  vertex.parent = state_.vertex;
  vertex.inputs = std::move(inputs);
  vertex.epoch = state_.epoch;
  vertex.platform = state_.platform;
  vertex.name = NextPrefix() + StepText(*instruction_);
  vertex.stage = info_.display_name;
  vertex.slot = fmt::format(
      "{}/{}", info_.name.empty() ? std::to_string(info_.index) : info_.name,
      step_);
  vertex.range = instruction_->range;
  vertex.no_cache = context_.options.no_cache ||
                    context_.options.no_cache_stages.contains(info_.name);
  state_.vertex = AddVertex(context_.graph, std::move(vertex));
  state_.steps.push_back(
      {MakeHistory(state_, created_by, false), state_.vertex});
}

std::string StepText(const dockerfile::Instruction& instruction) {
  std::string keyword = instruction.keyword;
  std::ranges::transform(keyword, keyword.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  std::string text(Trim(instruction.original));
  if (text.size() >= keyword.size()) {
    text.replace(0, keyword.size(), keyword);
  }
  const size_t end = text.find('\n');
  if (end == std::string::npos) return text;
  // A heredoc: the first line of its body says what it is about.
  const size_t next = text.find('\n', end + 1);
  const std::string body(
      Trim(std::string_view(text).substr(end + 1, next - end - 1)));
  return fmt::format("{} ({}…)", Trim(text.substr(0, end)), body);
}

std::optional<int64_t> ParseEpoch(std::string_view text) {
  const auto epoch = ParseInt(text);
  if (!epoch || *epoch < 0 || *epoch > 253402300799) {  // 9999-12-31
    return std::nullopt;
  }
  return epoch;
}

BuildGraph Plan(const dockerfile::Dockerfile& file, const PlanOptions& options,
                ImageResolver& resolver) {
  BuildGraph graph;
  graph.platform = options.target_platform;
  const std::string target_name = TargetStageName(file, options);
  const GlobalArgs globals(file, options, target_name);
  LintFroms(file, options, target_name, globals, graph.findings);
  const StageTable stages(file, options, globals);
  PlanContext context{file, options, resolver, globals, stages, graph,
                      {},   {},      {},       {},      nullptr};

  // Names that will be asked for, told early so that requests overlap.
  for (const size_t index : stages.Reached()) PrefetchStage(context, index);
  NoteFrontend(context);

  const StageState& target = EnsureStage(context, stages.target());
  graph.target = stages.at(stages.target()).name;
  graph.image.config = target.config.ToImage();
  graph.image.config.platform =
      options.target_platform_given ? options.target_platform : target.platform;
  graph.image.config.created = FormatRfc3339(target.epoch);
  for (const auto& [key, value] : options.labels) {
    graph.image.config.labels[key] = value;
  }
  graph.image.steps = target.steps.ToVector();
  graph.image.result = target.vertex;
  WarnUnusedArgs(context);
  for (const Vertex& vertex : graph.vertices) {
    const auto use = [&](const FileSource& source) {
      if (source.kind == FileSource::Kind::kContext &&
          std::ranges::find(graph.contexts, source.context) ==
              graph.contexts.end()) {
        graph.contexts.push_back(source.context);
      }
    };
    if (const auto* copy = std::get_if<CopyOp>(&vertex.op)) {
      if (!copy->patterns.empty()) use(copy->source);
    } else if (const auto* run = std::get_if<RunOp>(&vertex.op)) {
      for (const RunMount& mount : run->mounts) {
        if (mount.from) use(*mount.from);
      }
    }
  }
  return graph;
}

}  // namespace imgbuild::plan
