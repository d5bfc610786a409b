#include "imgbuild/plan/outline.h"

#include <algorithm>
#include <set>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/util/error.h"

#include "plan/eval.h"
#include "plan/names.h"
#include "plan/outline_capture.h"

namespace imgbuild::plan {
namespace {

// The global ARGs as they are declared, with their values.
class GlobalDeclarations {
 public:
  GlobalDeclarations(const dockerfile::Dockerfile& file,
                     const GlobalArgs& globals) {
    const dockerfile::Lookup lookup = globals.variables().AsLookup();
    for (const dockerfile::Instruction& instruction : file.meta_args) {
      const auto& arg = std::get<dockerfile::Arg>(instruction.node);
      for (const dockerfile::ArgDeclaration& declaration : arg.declarations) {
        const std::string name =
            dockerfile::Expand(declaration.name, lookup, file.escape).text;
        by_name_[name] = {name, globals.variables().Find(name),
                          DescriptionOf(instruction.comments, name),
                          instruction.range};
      }
    }
  }
  const Outline::Arg* Find(const std::string& name) const {
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? nullptr : &it->second;
  }

 private:
  std::map<std::string, Outline::Arg> by_name_;
};

// Depth first: a stage, what it is based on, what it copies from. What comes
// first hides what has the same name.
class Collector {
 public:
  Collector(const PlanContext& context, const OutlineCapture& capture)
      : context_(context),
        capture_(capture),
        globals_(context.file, context.globals) {}

  void Visit(size_t index) {
    if (!visited_.insert(index).second) return;
    const auto it = capture_.stages.find(index);
    if (it != capture_.stages.end()) Take(it->second);
    TakeGlobals(FromVariables(index));
    for (const size_t below : context_.stages.DirectDependencies(index)) {
      Visit(below);
    }
  }

  Outline Finish() {
    const auto by_line = [](const auto& a, const auto& b) {
      return a.range.begin().line < b.range.begin().line;
    };
    std::ranges::stable_sort(out_.args, by_line);
    std::ranges::stable_sort(out_.secrets, by_line);
    std::ranges::stable_sort(out_.ssh, by_line);
    return std::move(out_);
  }

 private:
  std::set<std::string> FromVariables(size_t index) const {
    const StageInfo& info = context_.stages.at(index);
    std::set<std::string> names = info.base_args;
    const auto& from = std::get<dockerfile::From>(info.stage->from.node);
    if (from.platform) {
      names.merge(dockerfile::Expand(*from.platform,
                                     context_.globals.variables().AsLookup(),
                                     context_.file.escape)
                      .matched);
    }
    return names;
  }

  void Take(const OutlineCapture::OfStage& stage) {
    // Of one name declared twice the last one counts.
    std::map<std::string, const Outline::Arg*> last;
    for (const Outline::Arg& arg : stage.args) last[arg.name] = &arg;
    for (const Outline::Arg& arg : stage.args) {
      if (last.at(arg.name) != &arg) continue;
      if (args_.insert(arg.name).second) out_.args.push_back(arg);
    }
    TakeGlobals({stage.inherited.begin(), stage.inherited.end()});
    for (const Outline::Need& need : stage.secrets) {
      if (secrets_.insert(need.id).second) out_.secrets.push_back(need);
    }
    for (const Outline::Need& need : stage.ssh) {
      if (ssh_.insert(need.id).second) out_.ssh.push_back(need);
    }
  }

  void TakeGlobals(const std::set<std::string>& names) {
    for (const auto& [name, value] : context_.globals.Origins(names)) {
      const Outline::Arg* arg = globals_.Find(name);
      if (arg == nullptr) continue;  // automatic
      if (args_.insert(name).second) out_.args.push_back(*arg);
    }
  }

  const PlanContext& context_;
  const OutlineCapture& capture_;
  const GlobalDeclarations globals_;
  std::set<size_t> visited_;
  std::set<std::string> args_;
  std::set<std::string> secrets_;
  std::set<std::string> ssh_;
  Outline out_;
};

}  // namespace

std::string DescriptionOf(const std::vector<std::string>& comments,
                          const std::string& name) {
  if (name.empty()) return "";
  for (const std::string& line : comments) {
    if (line.starts_with(name + " ")) return line.substr(name.size() + 1);
  }
  return "";
}

Outline MakeOutline(const dockerfile::Dockerfile& file,
                    const PlanOptions& options, ImageResolver& resolver) {
  const std::string target_name = TargetStageName(file, options);
  const GlobalArgs globals(file, options, target_name);
  const StageTable stages(file, options, globals);
  std::vector<UnresolvedImage> unresolved;
  const LockLookup no_lock;
  LintSession session{no_lock, unresolved};
  OutlineCapture capture;
  BuildGraph graph;
  PlanContext context{file, options, resolver, globals, stages,   graph,
                      {},   {},      {},       {},      &session, &capture};
  for (const size_t index : stages.Reached()) PrefetchStage(context, index);
  EnsureStage(context, stages.target());
  // Its ONBUILD triggers may ask for something.
  if (!unresolved.empty()) throw Error(unresolved.front().error);
  Collector collector(context, capture);
  collector.Visit(stages.target());
  Outline outline = collector.Finish();
  const StageInfo& target = stages.at(stages.target());
  outline.target = target.name;
  outline.description = DescriptionOf(target.stage->from.comments, target.name);
  return outline;
}

std::vector<TargetInfo> ListTargets(const dockerfile::Dockerfile& file) {
  std::vector<TargetInfo> out;
  for (const dockerfile::Stage& stage : file.stages) {
    const auto& from = std::get<dockerfile::From>(stage.from.node);
    TargetInfo info;
    if (from.name) info.name = from.name->text;
    info.description = DescriptionOf(stage.from.comments, info.name);
    info.base = from.image.text;
    if (from.platform) info.platform = from.platform->text;
    info.is_default = &stage == &file.stages.back();
    info.range = stage.from.range;
    out.push_back(std::move(info));
  }
  return out;
}

}  // namespace imgbuild::plan
