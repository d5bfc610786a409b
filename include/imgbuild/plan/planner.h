// AST -> BuildGraph: stages, target, ARG and ENV scopes, pruning of unused
// stages, configs. Pure: no I/O, no clock, no threads; the world is asked
// through ImageResolver.
#ifndef IMGBUILD_PLAN_PLANNER_H_
#define IMGBUILD_PLAN_PLANNER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/plan/build_graph.h"
#include "imgbuild/plan/resolver.h"

namespace imgbuild::plan {

struct PlanOptions {
  std::map<std::string, std::string> build_args;
  std::string target;  // "" is the last stage
  oci::Platform target_platform;
  // --platform was given: the image says it is for target_platform whatever
  // its base is for. Else it says what its stage is for.
  bool target_platform_given = false;
  oci::Platform build_platform;
  // Unset: the base image's `created`, else kDefaultEpoch.
  std::optional<int64_t> source_date_epoch;
  // --build-context NAME=VALUE, values as typed.
  std::map<std::string, std::string> named_contexts;
  std::map<std::string, std::string> labels;  // --label
  std::string network = "default";            // --network
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  uint64_t shm_bytes = 0;
  std::vector<std::string> ulimits;
  std::string cgroup_parent;
  std::set<std::string> entitlements;  // --allow
  // Whether the ignore file of the build context hides this path, for a check
  // of COPY and ADD; unset: not judged. Called for sources that the context
  // is asked for, with a path inside it ("." for all of it).
  std::function<bool(const std::string& path)> hidden_by_ignore_file;
  bool no_cache = false;
  std::set<std::string> no_cache_stages;  // --no-cache-filter
};

// 1980-01-01T00:00:00Z: the earliest time a zip or FAT can hold.
inline constexpr int64_t kDefaultEpoch = 315532800;

// Throws Error(kDockerfile) with a place; errors of the resolver come through
// with the place added.
BuildGraph Plan(const dockerfile::Dockerfile& file, const PlanOptions& options,
                ImageResolver& resolver);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_PLANNER_H_
