// Planning under the policies that the user set.
#ifndef IMGBUILD_CLI_POLICED_PLAN_H_
#define IMGBUILD_CLI_POLICED_PLAN_H_

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/plan/planner.h"

#include "cli/build_options.h"

namespace imgbuild::cli {

// plan::Plan() through the source policy of --source-policy or, without it, of
// $EXPERIMENTAL_BUILDKIT_SOURCE_POLICY (the file's name). Throws Error(kPolicy)
// at the word of the Dockerfile that is denied, Error(kDockerfile) at the place
// in the policy that is wrong.
plan::BuildGraph PlanUnderPolicy(const BuildFlags& flags,
                                 const dockerfile::Dockerfile& file,
                                 const plan::PlanOptions& options,
                                 plan::ImageResolver& resolver);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_POLICED_PLAN_H_
