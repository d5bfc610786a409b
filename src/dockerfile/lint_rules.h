// The families of rules, one file each.
#ifndef IMGBUILD_DOCKERFILE_LINT_RULES_H_
#define IMGBUILD_DOCKERFILE_LINT_RULES_H_

#include <span>

#include "imgbuild/dockerfile/lint.h"

namespace imgbuild::dockerfile {

std::span<const Rule> NamingRules();    // lint_naming.cc
std::span<const Rule> FormRules();      // lint_form.cc
std::span<const Rule> ValueRules();     // lint_values.cc
std::span<const Rule> PlatformRules();  // lint_values.cc
std::span<const Rule> OwnRules();       // lint_own.cc

// Of OwnRules(), in files of their own.
void JudgeUnusedStage(const LintInput& input, std::vector<Finding>& out);
void JudgeUnusedArg(const LintInput& input, std::vector<Finding>& out);
void JudgeChownAfterCopy(const LintInput& input, std::vector<Finding>& out);

// The names after skip= in a comment above an instruction: "check=skip=A,B"
// gives A and B; any other comment gives none.
std::vector<std::string> SkippedAbove(const Instruction& instruction);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_LINT_RULES_H_
