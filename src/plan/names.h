// External names: noted while a plan is made, and told early to the resolver.
#ifndef IMGBUILD_PLAN_NAMES_H_
#define IMGBUILD_PLAN_NAMES_H_

#include <string>

#include "plan/eval.h"

namespace imgbuild::plan {

// The value of TARGETSTAGE.
std::string TargetStageName(const dockerfile::Dockerfile& file,
                            const PlanOptions& options);

// Tells the resolver about the images that a stage names itself.
void PrefetchStage(PlanContext& context, size_t index);

// `# syntax=`.
void NoteFrontend(PlanContext& context);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_NAMES_H_
