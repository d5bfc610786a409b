// The evaluation of one stage, shared by the files that hold one function an
// instruction.
#ifndef IMGBUILD_PLAN_EVAL_H_
#define IMGBUILD_PLAN_EVAL_H_

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "plan/lint_findings.h"
#include "plan/outline_capture.h"
#include "plan/shared_map.h"
#include "plan/stage_config.h"
#include "plan/stages.h"
#include "plan/step_list.h"

namespace imgbuild::plan {

// PATH of an image that sets none.
inline constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// What a stage has come to after its latest instruction. A stage FROM another
// starts from a copy of the other's state, which costs the same however much
// stands in it.
struct StageState {
  VertexIndex vertex = 0;
  StageConfig config;
  StepList steps;
  // Base ENV, then ENV and ARG in textual order: what words and RUN see.
  Variables env;
  // Declared ARGs in order, with their values: the "|N" prefix of history.
  OrderedMap<std::optional<std::string>> args;
  int64_t epoch = kDefaultEpoch;
  oci::Platform platform;
  bool cmd_set = false;  // by this stage: ENTRYPOINT then keeps it
  // A WORKDIR of this file was met, in this stage or below it.
  bool workdir_set = false;
  // The config below is made up, because the base image could not be had.
  bool base_unknown = false;
};

// Everything a plan in the making shares.
struct PlanContext {
  const dockerfile::Dockerfile& file;
  const PlanOptions& options;
  ImageResolver& resolver;
  const GlobalArgs& globals;
  const StageTable& stages;
  BuildGraph& graph;
  std::map<size_t, StageState> done;          // evaluated stages
  std::map<std::string, VertexIndex> images;  // by manifest digest
  // Being evaluated now: a context that is a stage may lead back to them.
  std::set<size_t> evaluating;
  std::set<std::string> declared;     // by an ARG of an evaluated stage
  LintSession* lint = nullptr;        // set when nothing will be built
  OutlineCapture* outline = nullptr;  // set when one is wanted
};

// Evaluates instructions against one state. Lives for one stage.
class StageEvaluator {
 public:
  StageEvaluator(PlanContext& context, const StageInfo& info, StageState& state,
                 size_t step_total);

  void Evaluate(const dockerfile::Instruction& instruction);
  // What follows are triggers of the base.
  void BeginTriggers() { triggers_ = true; }
  void EndTriggers() { triggers_ = false; }
  // One that the base image brought along; findings stand at the FROM line.
  void EvaluateTrigger(const dockerfile::Instruction& instruction);
  // "[builder 1/4] ": numbers the next step.
  std::string NextPrefix();

 private:
  void Do(const dockerfile::From&);
  void Do(const dockerfile::Run& run);
  void Do(const dockerfile::Copy& copy);
  void Do(const dockerfile::Cmd& cmd);
  void Do(const dockerfile::Entrypoint& entrypoint);
  void Do(const dockerfile::Env& env);
  void Do(const dockerfile::Label& label);
  void Do(const dockerfile::Maintainer& maintainer);
  void Do(const dockerfile::Expose& expose);
  void Do(const dockerfile::User& user);
  void Do(const dockerfile::Workdir& workdir);
  void Do(const dockerfile::Volume& volume);
  void Do(const dockerfile::StopSignal& signal);
  void Do(const dockerfile::Healthcheck& check);
  void Do(const dockerfile::Shell& shell);
  void Do(const dockerfile::Arg& arg);
  void Do(const dockerfile::OnBuild& trigger);
  void Do(const dockerfile::Reset& reset);

  // Whether the config had `name`, which it has no more.
  bool TakeBack(dockerfile::Reset::What what, const std::string& name,
                const SourceRange& range);
  void TakeAllBack(dockerfile::Reset::What what);
  void Visit(const dockerfile::Instruction& instruction);
  // By an ARG of this stage or of one it stands on, with or without a value.
  bool IsDeclared(const std::string& name) const;
  // `matched`, if given, gets the variables in the word.
  std::string Expand(const dockerfile::Word& word,
                     std::set<std::string>* matched = nullptr);
  void WarnUnmatched(const std::set<std::string>& names,
                     const SourceRange& range);
  // The argv of a shell- or exec-form command under the current SHELL.
  std::vector<std::string> Argv(const dockerfile::Command& command) const;
  std::vector<std::string> WithShell(const std::string& text) const;
  bool ShellSet() const;  // SHELL, here or in the base
  // "|2 A=1 B=2 /bin/sh -c …".
  std::string HistoryOfRun(const std::vector<std::string>& args) const;

  void LintSource(const std::string& source, bool is_add,
                  const SourceRange& range);
  // A stage, a named context or an image that a flag names.
  FileSource SourceFrom(const dockerfile::Word& from, bool allow_index,
                        const std::string& site,
                        std::vector<VertexIndex>& inputs);
  // Notes a name of the current instruction: its place is `word`.
  ExternalName NewName(ExternalName::Kind kind, const dockerfile::Word& word,
                       const std::string& site) const;
  CopyOp::Remote Remote(const std::string& url, const dockerfile::Word& word,
                        const std::set<std::string>& variables,
                        const dockerfile::Copy& copy);
  // For an outline: one ARG of this stage; a mount that needs to be given.
  void Declared(const std::string& name,
                const std::optional<std::string>& value, bool inherited);
  void Needed(const dockerfile::MountSpec& mount);
  // `index`: how many ssh mounts stand before it.
  RunMount MakeMount(const dockerfile::RawMount& raw, size_t index,
                     std::vector<VertexIndex>& inputs);
  std::string ResolveNetwork(const dockerfile::Run& run) const;
  void RequireEntitlement(const std::string& name,
                          const dockerfile::Word& word) const;
  // What the --device flags of a RUN come to.
  std::vector<std::pair<std::string, std::string>> Devices(
      const dockerfile::Run& run);

  // Adds a vertex on top of the state and the history entry that goes with it.
  void AddLayer(Op op, std::vector<VertexIndex> inputs,
                const std::string& created_by);
  void AddHistory(const std::string& created_by);

  PlanContext& context_;
  const StageInfo& info_;
  StageState& state_;
  const size_t step_total_;
  size_t step_ = 0;
  bool triggers_ = false;
  const dockerfile::Instruction* instruction_ = nullptr;
  StageLinter linter_;
};

// The state of a stage after its last instruction; evaluates it if need be.
const StageState& EnsureStage(PlanContext& context, size_t index);

// An image by its name in the Dockerfile, or by what a context of that name
// says.
struct ImageName {
  std::string reference;  // as in the Dockerfile or behind docker-image://
  std::string layout;     // behind oci-layout://; else empty
};

// The vertex of an image, made once per name and platform.
VertexIndex ImageVertex(PlanContext& context, const ImageName& name,
                        const oci::Platform& platform, const std::string& stage,
                        const std::string& prefix, const SourceRange& range);

// The state of the stage that `target:NAME` names. Throws at `range` for a
// stage that does not exist, and for one that needs what asks for it.
const StageState& EnsureStageNamed(PlanContext& context,
                                   const std::string& name,
                                   const SourceRange& range);
// The canonical text of an image's name (ExternalName::name).
std::string NameOf(const oci::Reference& reference);
// What the resolver says; under a lint a made-up image in place of one that
// cannot be had.
ResolvedImage ResolveImage(PlanContext& context,
                           const oci::Reference& reference,
                           const oci::Platform& platform);
bool IsUnresolved(const PlanContext& context, const oci::Reference& reference);
// Is the base for the platform that the stage is for?
void LintBasePlatform(PlanContext& context, const StageInfo& info,
                      const oci::Platform& wanted, const oci::Platform& got);
// Under a lint: is the name pinned, by itself or by the lock?
void LintPin(PlanContext& context, const oci::Reference& reference,
             const SourceRange& instruction, const SourceRange& focus);

// The instruction in one line, for people.
std::string StepText(const dockerfile::Instruction& instruction);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_EVAL_H_
