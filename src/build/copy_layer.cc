#include "build/copy_layer.h"

#include "build/copy_files.h"

namespace imgbuild::build {
namespace {

// Less than so many members are compressed again sooner than looked up.
constexpr size_t kMinMembers = 4;

struct Earlier {
  store::StoredLayer layer;
  std::shared_ptr<const layer::ReusableBlob> blob;
};

// nullopt: none, or nothing is known of it.
std::optional<Earlier> FindEarlier(Step& step) {
  auto layer = step.LastLayer();
  if (!layer) return std::nullopt;
  store::ContentStore& content = step.env().store.content();
  const oci::Digest& digest = layer->blob.digest;
  const auto note = content.Note(digest);
  if (!note) return std::nullopt;
  auto index = layer::MemberIndex::Decode(*note, oci::Compression::kGzip);
  auto blob = content.Open(digest);
  if (!index || !blob) return std::nullopt;
  return Earlier{std::move(*layer), std::make_shared<const layer::ReusableBlob>(
                                        std::move(*index), std::move(*blob))};
}

store::StoredLayer Write(Step& step, const CopyTree& tree,
                         const std::optional<Earlier>& earlier) {
  BuildEnvironment& env = step.env();
  const CancelToken& cancel = step.state().cancel;
  store::Snapshotter& snapshots = env.store.snapshots();
  // Where there is no directory to begin with, this one is filled on the way.
  std::optional<FilesFromTar> files;
  if (step.files_wanted() &&
      (!earlier || !snapshots.Has(earlier->layer.diff_id))) {
    files.emplace(snapshots, snapshots.Begin(), cancel);
  }
  layer::LayerWriterOptions options;
  options.keep_index = true;
  if (earlier) options.previous = earlier->blob;
  if (files) options.tar = &*files;
  layer::MemberIndex index;
  auto made = step.WriteLayer(
      [&](layer::LayerWriter& writer) { tree.Write(writer, env.pool, cancel); },
      options, &index);
  if (index.members.size() >= kMinMembers) {
    env.store.content().SetNote(made->blob.digest,
                                index.Encode(oci::Compression::kGzip));
  }
  if (files) {
    files->Commit(made->diff_id);
  } else if (step.files_wanted()) {
    MakeFiles(snapshots, tree, made->diff_id, index,
              {earlier->layer.diff_id, *earlier->blob}, env.pool, cancel);
  }
  return *made;
}

}  // namespace

std::optional<store::StoredLayer> WriteCopyLayer(Step& step,
                                                 const CopyTree& tree) {
  if (tree.empty() || step.state().request.slow_path) {
    return step.WriteLayer([&](layer::LayerWriter& writer) {
      tree.Write(writer, step.env().pool, step.state().cancel);
    });
  }
  try {
    return Write(step, tree, FindEarlier(step));
  } catch (const layer::TakenDamaged&) {
    // Whoever verifies the store will hear of it; this build needs it not.
    return Write(step, tree, std::nullopt);
  }
}

}  // namespace imgbuild::build
