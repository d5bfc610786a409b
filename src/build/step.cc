#include "build/step.h"

#include <fmt/format.h>

#include <utility>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"

#include "build/remote_source.h"

namespace imgbuild::build {
namespace {

// Passes a layer's bytes to the store.
class IngestWriter : public Writer {
 public:
  explicit IngestWriter(store::Ingest& ingest) : ingest_(ingest) {}
  void Write(Bytes bytes) override { ingest_.Write(bytes); }

 private:
  store::Ingest& ingest_;
};

}  // namespace

Step::Step(BuildState& state, const plan::Vertex& vertex, VertexId progress_id,
           const VertexResult* parent, std::vector<const VertexResult*> inputs,
           bool files_wanted)
    : state_(state),
      vertex_(vertex),
      progress_id_(progress_id),
      parent_(parent),
      inputs_(std::move(inputs)),
      files_wanted_(files_wanted) {}

Step::~Step() = default;

RemoteSource& Step::Remote(size_t i) {
  const auto& op = std::get<plan::CopyOp>(vertex_.op);
  remotes_.resize(op.remotes.size());
  if (!remotes_[i]) {
    remotes_[i] =
        std::make_unique<RemoteSource>(env(), op, op.remotes[i], state_.cancel);
  }
  return *remotes_[i];
}

std::shared_ptr<const FileTree> Step::TreeOf(const LayerChain& layers) {
  layers.EnsureUnpacked(env().transfer);
  store::Snapshotter& snapshots = env().store.snapshots();
  return state_.request.slow_path ? snapshots.View(layers.DiffIds())
                                  : state_.trees.Get(snapshots, layers);
}

std::shared_ptr<const FileTree> Step::ParentTree() {
  return TreeOf(parent_->layers);
}

std::shared_ptr<const context::ContextSource> Step::Source(
    const plan::FileSource& from) {
  if (from.kind == plan::FileSource::Kind::kContext) {
    const auto it = state_.request.contexts.find(from.context);
    if (it != state_.request.contexts.end()) return it->second;
    throw Error(ErrorCode::kUsage,
                from.context.empty()
                    ? "this build has no context"
                    : fmt::format("there is no context {}", from.context));
  }
  return context::OpenTreeContext(TreeOf(inputs_[from.vertex]->layers),
                                  "the stage it copies from", env().pool,
                                  state_.cancel);
}

// A selection from a stage is a function of the stage's chain: its digest is
// remembered, so that a rebuild without changes reads no file of a stage.
std::string Step::ContentDigest(const plan::FileSource& from) {
  const auto compute = [&] {
    const auto source = Source(from);
    Selection selection;
    if (const auto* copy = std::get_if<plan::CopyOp>(&vertex_.op)) {
      selection = Select(*source, *copy);
    }
    std::string digest = DigestSelection(*source, selection);
    if (from.kind == plan::FileSource::Kind::kContext) {
      selection_ = std::move(selection);
    }
    return digest;
  };
  if (from.kind == plan::FileSource::Kind::kContext) return compute();
  plan::Recipe recipe;
  recipe.Add("selection-of", inputs_[from.vertex]->layers.Key());
  const auto& copy = std::get<plan::CopyOp>(vertex_.op);
  for (const auto& pattern : copy.patterns) recipe.Add("source", pattern.text);
  for (const auto& pattern : copy.excludes) recipe.Add("exclude", pattern);
  const oci::Digest key = recipe.Digest();
  if (const auto known = env().store.cache().Find(key)) return known->recipe;
  std::string digest = compute();
  env().store.cache().Put(key, {std::nullopt, digest});
  return digest;
}

plan::KeyInputs Step::MakeInputs() {
  plan::KeyInputs inputs;
  inputs.parent = parent_->layers.Key();
  if (const auto* copy = std::get_if<plan::CopyOp>(&vertex_.op)) {
    if (!copy->patterns.empty()) {
      inputs.contents.push_back(ContentDigest(copy->source));
    }
    for (size_t i = 0; i < copy->remotes.size(); ++i) {
      inputs.contents.push_back(Remote(i).ContentDigest());
    }
  } else if (const auto* run = std::get_if<plan::RunOp>(&vertex_.op)) {
    for (const plan::RunMount& mount : run->mounts) {
      if (!mount.from ||
          mount.spec.type != dockerfile::MountSpec::Type::kBind) {
        continue;
      }
      const auto source = Source(*mount.from);
      Selection selection =
          SelectPath(*source, mount.spec.source, mount.spec.range);
      inputs.contents.push_back(DigestSelection(*source, selection));
    }
  }
  return inputs;
}

std::optional<store::CacheRecord> Step::FindCached(const plan::Recipe& recipe) {
  if (vertex_.no_cache) {
    miss_reason_ = "the cache is off";
    return std::nullopt;
  }
  auto record = env().store.cache().Find(recipe.Digest());
  if (!record) return std::nullopt;
  // A record is a hint: it counts when what it names is there.
  if (record->layer && env().store.content().Size(record->layer->blob.digest) !=
                           record->layer->blob.size) {
    miss_reason_ = "its layer is gone from the store";
    return std::nullopt;
  }
  return record;
}

std::optional<Selection> Step::TakeSelection() {
  return std::exchange(selection_, std::nullopt);
}

std::optional<store::StoredLayer> Step::LastLayer() {
  if (vertex_.no_cache) return std::nullopt;
  const auto recipe = env().store.cache().LastRecipe(Slot());
  if (!recipe) return std::nullopt;
  const auto record =
      env().store.cache().Find(plan::Recipe::Parse(*recipe).Digest());
  return record ? record->layer : std::nullopt;
}

std::string Step::Slot() const {
  return state_.request.slot_prefix + "#" + vertex_.slot;
}

void Step::ExplainMiss(const plan::Recipe& recipe) {
  if (!miss_reason_.empty()) return;
  const auto before = env().store.cache().LastRecipe(Slot());
  if (!before) return;
  miss_reason_ = plan::ExplainDifference(plan::Recipe::Parse(*before), recipe)
                     .value_or("");
}

VertexResult Step::UseImage(const plan::ImageOp& op) {
  VertexResult result;
  result.layers = LayerChain(transfer::LayersOf(op.image));
  result.cached = true;
  return result;
}

std::optional<store::StoredLayer> Step::Perform() {
  if (const auto* run = std::get_if<plan::RunOp>(&vertex_.op)) {
    return PerformRun(*this, *run);
  }
  if (const auto* copy = std::get_if<plan::CopyOp>(&vertex_.op)) {
    return PerformCopy(*this, *copy);
  }
  return PerformWorkdir(*this, std::get<plan::WorkdirOp>(vertex_.op));
}

VertexResult Step::Run() {
  if (const auto* image = std::get_if<plan::ImageOp>(&vertex_.op)) {
    return UseImage(*image);
  }
  if (std::holds_alternative<plan::ScratchOp>(vertex_.op)) {
    VertexResult result;
    result.cached = true;
    return result;
  }
  const plan::Recipe recipe = plan::MakeRecipe(vertex_, MakeInputs());
  VertexResult result;
  result.layers = parent_->layers;
  if (const auto record = FindCached(recipe)) {
    result.own = record->layer;
    result.cached = true;
  } else {
    ExplainMiss(recipe);
    if (!miss_reason_.empty()) {
      env().progress.Progress(progress_id_, "miss: " + miss_reason_, 0, 0);
    }
    result.own = Perform();
    env().store.cache().Put(recipe.Digest(), {result.own, recipe.Text()});
  }
  // Hits too: the next miss is explained against what this build had.
  env().store.cache().SetLastRecipe(Slot(), recipe.Text());
  if (result.own) {
    result.layers =
        parent_->layers.With({result.own->diff_id, result.own->blob});
  }
  return result;
}

std::optional<store::StoredLayer> Step::WriteLayer(
    const std::function<void(layer::LayerWriter& writer)>& fill,
    layer::LayerWriterOptions options, layer::MemberIndex* index) {
  const auto ingest = env().store.content().Begin(std::nullopt, std::nullopt);
  IngestWriter blob(*ingest);
  options.hash_blob = false;  // the store does
  layer::LayerWriter writer(blob, env().pool, options);
  fill(writer);
  if (writer.entries() == 0) return std::nullopt;
  const layer::WrittenLayer written = writer.Finish();
  if (options.keep_index) *index = writer.index();
  const oci::Digest digest = ingest->Commit();
  store::StoredLayer layer{written.diff_id,
                           {std::string(oci::media_type::kOciLayerGzip),
                            digest,
                            written.size,
                            {},
                            {},
                            {},
                            {}},
                           written.tar_size};
  env().store.cache().PutLayer(layer);
  return layer;
}

}  // namespace imgbuild::build
