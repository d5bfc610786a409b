// The flags of `build` and `plan`, from words to typed values.
#ifndef IMGBUILD_CLI_BUILD_OPTIONS_H_
#define IMGBUILD_CLI_BUILD_OPTIONS_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/build/builder.h"
#include "imgbuild/build/exporter.h"
#include "imgbuild/build/ssh_agents.h"
#include "imgbuild/plan/planner.h"

#include "cli/args.h"

namespace imgbuild::cli {

// As typed.
struct BuildFlags {
  std::string file;
  std::string context;
  std::vector<std::string> tags;
  std::vector<std::string> build_args;
  std::vector<std::string> build_contexts;
  std::string target;
  std::string platform;
  bool no_cache = false;
  bool slow_path = false;
  std::vector<std::string> no_cache_filter;
  bool pull = false;
  std::string progress = "auto";
  std::string iidfile;
  std::string metadata_file;
  std::vector<std::string> outputs;
  bool quiet = false;
  bool check = false;
  std::string call = "build";
  std::vector<std::string> labels;
  std::vector<std::string> secrets;
  std::vector<std::string> ssh;
  std::vector<std::string> annotations;
  std::string memory;
  std::string memory_swap;
  std::string cpu_period;
  std::string cpu_quota;
  std::string cpu_shares;
  std::string cpuset_cpus;
  std::string cpuset_mems;
  std::string cgroup_parent;
  std::vector<std::string> resources;
  std::vector<std::string> allow;
  std::string network = "default";
  std::vector<std::string> add_hosts;
  std::string shm_size;
  std::vector<std::string> ulimits;
  std::string source_date_epoch;
  std::string source_policy;
  std::string jobs;
  std::string format = "text";  // plan only
  bool locked = false;
  bool no_locked = false;
  bool frozen = false;
  std::string lockfile;
  std::string lock_bundle;
  bool record_output = false;
  std::string store_max;
  std::vector<std::string> keep_locked;
};

// What decides the image; shared by build and plan.
void AddPlanFlags(Args& args, BuildFlags& flags);
// What happens to it.
void AddBuildFlags(Args& args, BuildFlags& flags);

// Throw Error(kUsage) naming the flag.
plan::PlanOptions ToPlanOptions(const BuildFlags& flags);
std::vector<oci::Reference> ParseTags(const BuildFlags& flags);
std::map<std::string, build::Secret> ParseSecrets(const BuildFlags& flags);
std::vector<build::SshForward> ParseSsh(const BuildFlags& flags);
// Of RUN: --memory and its like, and the same by --resource.
exec::ResourceLimits ParseLimits(const BuildFlags& flags);
// Of an image for `platform`.
struct Annotations {
  std::map<std::string, std::string> manifest;
  std::map<std::string, std::string> descriptor;  // what points to it
};
Annotations ParseAnnotations(const BuildFlags& flags,
                             const oci::Platform& platform);
unsigned ParseJobs(const BuildFlags& flags);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_BUILD_OPTIONS_H_
