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

// What RUN --device may name.
struct HostDevice {
  std::string name;           // "vendor.com/class=name"
  std::string device_class;   // a further name for a group of a kind; or ""
  bool auto_allowed = false;  // needs no --allow
  // What a container gets of it, as a text for the key: it has to differ when
  // that does.
  std::string recipe;
};

struct PlanOptions {
  std::map<std::string, std::string> build_args;
  std::string target;  // "" is the last stage
  oci::Platform target_platform;
  // --platform was given: the image says it is for target_platform whatever
  // its base is for. Else it says what its stage is for.
  bool target_platform_given = false;
  oci::Platform build_platform;
  // Unset: the global ARG, else the base's `created`, else kDefaultEpoch.
  std::optional<int64_t> source_date_epoch;
  // --build-context NAME=VALUE, values as typed.
  std::map<std::string, std::string> named_contexts;
  std::map<std::string, std::string> labels;  // --label
  std::string network = "default";            // --network
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  uint64_t shm_bytes = 0;
  std::vector<std::string> ulimits;
  std::string cgroup_parent;
  std::set<std::string> entitlements;  // --allow; "device": every device
  // --allow device=NAME: NAME and "", or an alias and the device it stands
  // for.
  std::map<std::string, std::string> granted_devices;
  // The devices of this host in order of name, asked for with the first RUN
  // --device; unset: there are none.
  std::function<std::vector<HostDevice>()> devices;
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
