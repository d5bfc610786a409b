// Build checks: what is legal in a Dockerfile and yet better written another
// way. The rules are data; those of BuildKit have its names, sentences and
// addresses (dockerfile.md A.14), ours are called imgbuild/Name. Rules that
// need only the text are judged here, the others by `plan`, which knows
// values, bases and what the ignore file hides. Pure.
#ifndef IMGBUILD_DOCKERFILE_LINT_H_
#define IMGBUILD_DOCKERFILE_LINT_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/dockerfile/directives.h"

namespace imgbuild::dockerfile {

enum class RuleId {
  // Names and casing.
  kStageNameCasing,
  kFromAsCasing,
  kDuplicateStageName,
  kReservedStageName,
  kConsistentInstructionCasing,
  // The form of instructions.
  kNoEmptyContinuation,
  kMaintainerDeprecated,
  kInvalidDefinitionDescription,
  kLegacyKeyValueFormat,
  kJSONArgsRecommended,
  kMultipleInstructionsDisallowed,
  kExposeProtoCasing,
  kExposeInvalidFormat,
  // Values.
  kUndefinedArgInFrom,
  kUndefinedVar,
  kInvalidDefaultArgInFrom,
  kWorkdirRelativePath,
  kSecretsUsedInArgOrEnv,
  kCopyIgnoredFile,
  // Platforms.
  kRedundantTargetPlatform,
  kFromPlatformFlagConstDisallowed,
  kInvalidBaseImagePlatform,
  // Ours.
  kUnpinnedImage,
  kLockMismatch,
  kChownAfterCopy,
  kUnusedStage,
  kUnusedArg,
  kUnknownRule,
};

// One thing found.
struct Finding {
  RuleId rule;
  std::string message;
  // The instruction that is meant: whole lines of it are shown.
  SourceRange range;
  // The words in it that matter, where they are known; maybe of no file.
  SourceRange focus;
};

enum class LintOccasion { kBuild, kCheck };

struct LintInput {
  const Dockerfile& file;
  LintOccasion occasion = LintOccasion::kBuild;
  std::string target = {};  // the stage that is asked for; "" is the last
};

struct Rule {
  RuleId id;
  std::string_view name;
  std::string_view description;  // one sentence
  std::string_view url;          // BuildKit's page; "" when there is none
  bool experimental = false;     // silent unless experimental= names it
  // `imgbuild check` alone reports it; an ordinary build does not.
  bool check_only = false;

  // The page of `imgbuild check --explain`.
  std::string_view fires;
  std::string_view why;
  std::string_view bad;   // Dockerfile text
  std::string_view good;  // the same, put right

  // The judgement, for rules that need the text alone: one instruction (ARGs
  // before the first FROM and FROMs too) or the whole file. Neither: `plan`
  // judges.
  void (*judge_instruction)(const Instruction& instruction,
                            std::vector<Finding>& out) = nullptr;
  void (*judge_file)(const LintInput& input,
                     std::vector<Finding>& out) = nullptr;
};

// Every rule, in the order of RuleId.
std::span<const Rule> Rules();
const Rule& RuleOf(RuleId id);
// By exact name, as `skip=` writes it.
const Rule* FindRule(std::string_view name);
// The name that a wrong one was probably meant to be: a typing error, another
// case, ours without the prefix, or the same beginning.
std::optional<std::string> NearestRule(std::string_view name);

// What the rules that need only the text find. The order is BuildKit's:
// continuations, then instruction by instruction, then the whole file.
// On an ordinary build the rules that only a check reports are not asked.
std::vector<Finding> Lint(const LintInput& input);

// The options that hold for a build: `build_arg` (BUILDKIT_DOCKERFILE_CHECK)
// takes the place of the file's directive, an empty one too. Throws
// Error(kDockerfile).
CheckOptions EffectiveCheckOptions(const Dockerfile& file,
                                   const std::optional<std::string>& build_arg);

// The findings that are to be told: without rules that are skipped (by the
// options, or by a comment `# check=skip=Name` right above the instruction),
// experimental ones that nobody asked for, and on an ordinary build those that
// only a check reports. `imgbuild/*` skips all of ours. The order is kept.
std::vector<Finding> SelectFindings(const Dockerfile& file,
                                    const CheckOptions& options,
                                    LintOccasion occasion,
                                    std::vector<Finding> findings);

// "StageNameCasing, UndefinedVar": each rule once, sorted.
std::string RuleNames(const std::vector<Finding>& findings);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_LINT_H_
