// `imgbuild check`: the plan's rules over every stage of a Dockerfile. What a
// build would refuse is reported beside what was found before it; a base image
// that cannot be had is passed over, and the rules that needed it are named.
#ifndef IMGBUILD_PLAN_LINT_H_
#define IMGBUILD_PLAN_LINT_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/lint.h"
#include "imgbuild/plan/build_graph.h"
#include "imgbuild/plan/planner.h"
#include "imgbuild/util/error.h"

namespace imgbuild::plan {

// The digest that the lock has for a name; nullopt when it has none. Unset:
// there is no lock.
using LockLookup =
    std::function<std::optional<oci::Digest>(const oci::Reference&)>;

// An image that could not be had, and why.
struct UnresolvedImage {
  oci::Reference name;
  Error error;
};

struct LintReport {
  // Of the text's rules and the plan's, in BuildKit's order, nothing left out:
  // dockerfile::SelectFindings() chooses.
  std::vector<dockerfile::Finding> findings;
  // Each name once.
  std::vector<UnresolvedImage> unresolved;
  // The steps that a build of the target would take, for policies; their edges
  // mean nothing here. Empty after an error.
  std::vector<Vertex> steps;
  // What a build would stop at. What comes after it was not looked at.
  std::optional<Error> error;
};

// The rules that cannot be judged without the config of a base image.
std::vector<dockerfile::RuleId> RulesThatNeedBases();

// Every stage, or with options.target what that stage needs. Never throws for
// what the Dockerfile or a registry does wrong.
LintReport Lint(const dockerfile::Dockerfile& file, const PlanOptions& options,
                const LockLookup& locked, ImageResolver& resolver);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_LINT_H_
