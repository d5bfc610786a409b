// The lock of a build: found, read, and put between the planner and the
// registry.
#ifndef IMGBUILD_CLI_LOCK_INPUT_H_
#define IMGBUILD_CLI_LOCK_INPUT_H_

#include <optional>
#include <string>

#include "imgbuild/build/locking.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/progress.h"

#include "cli/build_input.h"

namespace imgbuild::cli {

struct BuildLock {
  std::optional<lock::Lockfile> lock;
  std::string path;             // where it is or would be
  std::string dockerfile_path;  // "" when it is no file of this machine
  build::LockMode mode = build::LockMode::kPrefer;
  // At `path` on this machine, not in a context that was fetched.
  bool writable = false;
  std::string flags;  // of `imgbuild lock`, for messages: " -f app.Dockerfile"
};

// --lockfile, else the file beside the Dockerfile. Throws Error(kPolicy) when
// --locked or --frozen is given and there is none, Error(kDockerfile) at the
// lock's line when it is broken.
BuildLock OpenLock(const BuildInput& input, const BuildFlags& flags);

// Sets what --frozen forbids. Before anything of the app is used.
void ApplyLockFlags(App& app, const BuildFlags& flags);

// The plan under the policies, its names answered out of the lock. Tells how
// many were, and warns about those that were not.
plan::BuildGraph PlanLocked(App& app, const dockerfile::Dockerfile& file,
                            plan::PlanOptions options, const BuildLock& lock,
                            const BuildFlags& flags, ProgressSink& progress);

// Reads the lock at `path`; nullopt when there is none.
std::optional<lock::Lockfile> ReadLock(const std::string& path);

// CI=true or CI=1.
bool RunsInCi();

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LOCK_INPUT_H_
