// The images that a Dockerfile names, each with its place.
#ifndef IMGBUILD_CLI_USED_NAMES_H_
#define IMGBUILD_CLI_USED_NAMES_H_

#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/compare.h"
#include "imgbuild/plan/planner.h"

namespace imgbuild::cli {

// FROM, COPY --from and RUN --mount of every stage, also of those that the
// target does not need; in the order of the file. Earlier stages, `scratch`
// and named contexts are no images. Throws Error(kDockerfile) at its place.
std::vector<lock::UsedName> UsedImages(const dockerfile::Dockerfile& file,
                                       const plan::PlanOptions& options);

// These, `# syntax=` and what the file's own triggers name
// (lock::TriggerNames).
std::vector<lock::UsedName> PinnableNames(const dockerfile::Dockerfile& file,
                                          const plan::PlanOptions& options);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_USED_NAMES_H_
