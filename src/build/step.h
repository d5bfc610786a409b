// One vertex at work: what it was given, and what every op needs.
#ifndef IMGBUILD_BUILD_STEP_H_
#define IMGBUILD_BUILD_STEP_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/build/builder.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/plan/cache_key.h"

#include "build/layer_chain.h"
#include "build/selection.h"

namespace imgbuild::build {

class RemoteSource;

// What a vertex came to.
struct VertexResult {
  LayerChain layers;  // of its root file system
  // The layer that this vertex itself made, if it made one.
  std::optional<store::StoredLayer> own;
  bool cached = false;
};

// Shared by all steps of a build. Thread-safe as its parts are.
struct BuildState {
  BuildEnvironment& env;
  const BuildRequest& request;
  CancelToken cancel;  // of this build: also set by the first failure
  TreeCache trees;     // one for each step at work, and one for one that waits
};

class Step {
 public:
  // `files_wanted`: some step reads the files of this one's result.
  Step(BuildState& state, const plan::Vertex& vertex, VertexId progress_id,
       const VertexResult* parent, std::vector<const VertexResult*> inputs,
       bool files_wanted);
  ~Step();

  // The whole work of the vertex.
  VertexResult Run();

  const plan::Vertex& vertex() const { return vertex_; }
  BuildState& state() { return state_; }
  BuildEnvironment& env() { return state_.env; }
  VertexId progress_id() const { return progress_id_; }
  const VertexResult& parent() const { return *parent_; }
  const VertexResult& input(size_t i) const { return *inputs_[i]; }

  // The parent's root file system to read; unpacks what is not yet.
  std::shared_ptr<const FileTree> ParentTree();
  // The files of a source; a stage's are unpacked first.
  std::shared_ptr<const context::ContextSource> Source(
      const plan::FileSource& from);

  // The remotes of an ADD, in order; made once.
  RemoteSource& Remote(size_t i);

  bool files_wanted() const { return files_wanted_; }
  // What COPY takes from the context, if the cache key was made of it: given
  // away once.
  std::optional<Selection> TakeSelection();
  // The layer that this step made in the build before, if it still counts for
  // anything: not with --no-cache.
  std::optional<store::StoredLayer> LastLayer();

  // Writes a layer: `fill` adds its entries. nullopt when it added none.
  // The blob is in the store afterwards. With keep_index `index` gets the
  // writer's.
  std::optional<store::StoredLayer> WriteLayer(
      const std::function<void(layer::LayerWriter& writer)>& fill,
      layer::LayerWriterOptions options = {},
      layer::MemberIndex* index = nullptr);

 private:
  VertexResult UseImage(const plan::ImageOp& op);
  std::shared_ptr<const FileTree> TreeOf(const LayerChain& layers);
  std::optional<store::CacheRecord> FindCached(const plan::Recipe& recipe);
  std::optional<store::StoredLayer> Perform();
  std::string ContentDigest(const plan::FileSource& from);
  plan::KeyInputs MakeInputs();
  void ExplainMiss(const plan::Recipe& recipe);
  std::string Slot() const;

  BuildState& state_;
  const plan::Vertex& vertex_;
  const VertexId progress_id_;
  const VertexResult* parent_;
  const std::vector<const VertexResult*> inputs_;
  const bool files_wanted_;
  std::optional<Selection> selection_;
  std::string miss_reason_;
  std::vector<std::unique_ptr<RemoteSource>> remotes_;
};

// The ops; each returns the layer it made.
std::optional<store::StoredLayer> PerformCopy(Step& step,
                                              const plan::CopyOp& op);
std::optional<store::StoredLayer> PerformRun(Step& step, const plan::RunOp& op);
std::optional<store::StoredLayer> PerformWorkdir(Step& step,
                                                 const plan::WorkdirOp& op);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_STEP_H_
