// Performs a plan: runs its vertices in parallel, uses the cache, makes layers
// and assembles the image. The result is in the store, under its final
// manifest digest, when Build() returns.
#ifndef IMGBUILD_BUILD_BUILDER_H_
#define IMGBUILD_BUILD_BUILDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/exec/cdi.h"
#include "imgbuild/exec/executor.h"
#include "imgbuild/plan/build_graph.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/progress.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::build {

class Fetcher;
class SshAgents;

// --secret: where the bytes of one come from. Never logged, never in a key.
struct Secret {
  std::string file;  // or
  std::string env;   // the name of the variable that holds it
};

struct BuildRequest {
  const plan::BuildGraph& graph;
  // By name; "" is the main context.
  std::map<std::string, std::shared_ptr<const context::ContextSource>> contexts;
  std::map<std::string, Secret> secrets;
  // Tells the steps of this Dockerfile from those of others when a miss is
  // explained: its path.
  std::string slot_prefix;
  unsigned jobs = 8;
  std::vector<oci::Reference> tags;
  // Agents for RUN --mount=type=ssh; null: none.
  const SshAgents* ssh = nullptr;
  // Of each RUN. Not in its key: they decide whether it ends, not how. Ulimits
  // and the size of /dev/shm are the plan's.
  exec::ResourceLimits limits = {};
  // Of the manifest.
  std::map<std::string, std::string> annotations = {};
  // Takes no short cut: nothing of an earlier layer is used and no directory
  // is made but from a blob. The image is the same; tests hold it to that.
  bool slow_path = false;
  // Called when the image is in the store, by digest alone. What it throws ends
  // the build before a tag moves.
  std::function<void(const oci::Digest& manifest)> accept = {};
  // Has the devices of the plan's steps; null: they have none.
  const exec::CdiRegistry* devices = nullptr;
};

struct BuildResult {
  oci::Document manifest;  // the exact bytes
  std::string config;
  oci::ImageId image_id;
  std::vector<transfer::LayerName> layers;
  oci::Platform platform;
  // The store had an image of this digest before.
  bool unchanged = false;
  unsigned cached_steps = 0;
  unsigned run_steps = 0;
  // Of what points to the manifest in an export.
  std::map<std::string, std::string> descriptor_annotations = {};
};

// What a build works with. All of it outlives the builder.
struct BuildEnvironment {
  store::Store& store;
  transfer::Transfer& transfer;
  exec::Executor& executor;
  ProgressSink& progress;
  ThreadPool& pool;
  CancelToken cancel;
  // What ADD of a URL or a repository asks; null: such an ADD fails.
  Fetcher* fetcher = nullptr;
};

class Builder {
 public:
  explicit Builder(BuildEnvironment& environment) : env_(environment) {}
  // Throws Error at the instruction that failed (kStep for a step of its
  // own), with the other steps cancelled and nothing half-made in the store.
  BuildResult Build(const BuildRequest& request);

 private:
  BuildEnvironment& env_;
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_BUILDER_H_
