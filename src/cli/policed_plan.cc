#include "cli/policed_plan.h"

#include <cstdlib>
#include <optional>

#include "imgbuild/build/policy_resolver.h"
#include "imgbuild/lock/source_policy.h"

#include "cli/text_file.h"

namespace imgbuild::cli {
namespace {

std::optional<lock::SourcePolicy> LoadSourcePolicy(const BuildFlags& flags) {
  std::string path = flags.source_policy;
  if (path.empty()) {
    const char* env = std::getenv("EXPERIMENTAL_BUILDKIT_SOURCE_POLICY");
    if (env != nullptr) path = env;
  }
  if (path.empty()) return std::nullopt;
  return lock::SourcePolicy::Parse(
      ReadTextFile(path, lock::kMaxSourcePolicyBytes, "source policy"));
}

}  // namespace

plan::BuildGraph PlanUnderPolicy(const BuildFlags& flags,
                                 const dockerfile::Dockerfile& file,
                                 const plan::PlanOptions& options,
                                 plan::ImageResolver& resolver) {
  const auto policy = LoadSourcePolicy(flags);
  if (!policy) return plan::Plan(file, options, resolver);
  build::CheckLocalSources(*policy, {});
  build::PolicyResolver policed(*policy, resolver);
  plan::BuildGraph graph = plan::Plan(file, options, policed);
  build::CheckLocalSources(*policy, graph.contexts);
  build::ApplyToRemotes(*policy, graph);
  return graph;
}

}  // namespace imgbuild::cli
