// Planning under the policies that the user set.
#ifndef IMGBUILD_CLI_POLICED_PLAN_H_
#define IMGBUILD_CLI_POLICED_PLAN_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/lock/policy.h"
#include "imgbuild/lock/source_policy.h"
#include "imgbuild/plan/planner.h"

#include "cli/build_options.h"

namespace imgbuild::cli {

// Of --source-policy or, without it, of $EXPERIMENTAL_BUILDKIT_SOURCE_POLICY
// (the file's name); nullopt without either. Throws Error(kDockerfile) at the
// place that is wrong.
std::optional<lock::SourcePolicy> LoadSourcePolicy(const BuildFlags& flags);

// plan::Plan() through the source policy of the flags; then what [policy] of
// the lock and of imgbuild.toml beside the Dockerfile say of it
// (EnforcePolicies). Throws Error(kPolicy) at the word of the Dockerfile,
// Error(kDockerfile) at the place in the policy that is wrong.
// `dockerfile_path`: "" when it is no file here; then there is nothing beside
// it. `lockfile` may be null.
plan::BuildGraph PlanUnderPolicy(const BuildFlags& flags,
                                 const std::string& dockerfile_path,
                                 const dockerfile::Dockerfile& file,
                                 const plan::PlanOptions& options,
                                 plan::ImageResolver& resolver,
                                 const lock::Lockfile* lockfile = nullptr);

// What policies judge of these steps. `lockfile` may be null and must outlive
// the facts.
lock::PolicyFacts FactsOf(const std::vector<plan::Vertex>& steps,
                          const lock::Lockfile* lockfile);

// Throws Error(kPolicy) at the first finding, with the others as notes.
void EnforcePolicies(const std::string& dockerfile_path,
                     const lock::PolicyFacts& facts);

// The same for `lock`, which plans nothing: every name that it evaluated, and
// every RUN of `file` (unless it is null) as its flags stand there.
void EnforcePoliciesOnLock(const std::string& dockerfile_path,
                           const dockerfile::Dockerfile* file,
                           std::vector<lock::UsedName> used,
                           const lock::Lockfile& lockfile);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_POLICED_PLAN_H_
