// The rules that planning judges, apart from what planning itself does.
#ifndef IMGBUILD_PLAN_LINT_FINDINGS_H_
#define IMGBUILD_PLAN_LINT_FINDINGS_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/lint.h"
#include "imgbuild/plan/lint.h"
#include "imgbuild/plan/planner.h"

#include "plan/scope.h"

namespace imgbuild::plan {

// lint_from.cc: every FROM line, of unreached stages too.
void LintFroms(const dockerfile::Dockerfile& file, const PlanOptions& options,
               const std::string& target_stage, const GlobalArgs& globals,
               std::vector<dockerfile::Finding>& out);

// What a lint adds to a plan in the making.
struct LintSession {
  const LockLookup& locked;
  std::vector<UnresolvedImage>& unresolved;
};

// lint_stage.cc: the instructions of one stage, in order. Lives as long as the
// evaluation of the stage.
class StageLinter {
 public:
  // `base_known`: the config that the stage starts from is a real one.
  StageLinter(std::vector<dockerfile::Finding>& findings, bool base_known)
      : findings_(findings), base_known_(base_known) {}

  // The instruction that is looked at; `range` is where findings about it are
  // told (the FROM line for an ONBUILD trigger).
  void Begin(const dockerfile::Instruction& instruction,
             const SourceRange& range) {
    instruction_ = &instruction;
    range_ = range;
  }
  void UndefinedVar(std::string_view name,
                    const std::vector<std::string>& known,
                    const SourceRange& focus);
  // CMD, ENTRYPOINT and HEALTHCHECK count once a stage.
  void Cmd(const dockerfile::Command& command, bool shell_set);
  void Entrypoint(const dockerfile::Command& command, bool shell_set);
  void Healthcheck();
  void LegacyPair();
  void SecretName(std::string_view instruction, std::string_view key);
  void Port(std::string_view word, const SourceRange& focus);
  // The first WORKDIR of the stage and of those it stands on.
  void FirstWorkdir(std::string_view path);
  // `source` is hidden by the ignore file.
  void IgnoredSource(std::string_view source, bool is_add,
                     const SourceRange& focus);

 private:
  void Report(dockerfile::RuleId rule, std::string message,
              const SourceRange& focus);
  void Once(std::optional<SourceRange>& earlier);
  void JsonForm(const dockerfile::Command& command, bool shell_set);

  std::vector<dockerfile::Finding>& findings_;
  const bool base_known_;
  const dockerfile::Instruction* instruction_ = nullptr;
  SourceRange range_;
  std::optional<SourceRange> cmd_;
  std::optional<SourceRange> entrypoint_;
  std::optional<SourceRange> healthcheck_;
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_LINT_FINDINGS_H_
