// Unpacked layers as directories (layer_dir.h), stacked by overlayfs.
#ifndef IMGBUILD_SRC_STORE_LOCAL_SNAPSHOTTER_H_
#define IMGBUILD_SRC_STORE_LOCAL_SNAPSHOTTER_H_

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/store/snapshotter.h"

#include "store/layer_dir.h"
#include "store/layer_locks.h"
#include "store/layout.h"
#include "store/overlay_tree.h"
#include "store/unsynced.h"

namespace imgbuild::store {

// Thread-safe. Both arguments must outlive it and what it hands out.
class LocalSnapshotter : public Snapshotter {
 public:
  LocalSnapshotter(Layout& layout, Unsynced& unsynced)
      : layout_(layout), unsynced_(unsynced) {}

  bool Has(const oci::DiffId& diff_id) const override;
  std::unique_ptr<PendingLayer> Begin() override;
  std::unique_ptr<PendingLayer> BeginOn(const oci::DiffId& base) override;
  std::optional<Delta> DeltaOf(const oci::DiffId& diff_id) const override;
  std::shared_ptr<const FileTree> View(
      const std::vector<oci::DiffId>& chain) override;
  std::shared_ptr<const FileTree> ViewOn(const FileTree& below,
                                         const oci::DiffId& layer) override;
  std::unique_ptr<Active> Prepare(
      const std::vector<oci::DiffId>& chain) override;
  std::unique_ptr<Active> PrepareIn(const std::vector<oci::DiffId>& chain,
                                    const std::string& directory) override;
  bool Remove(const oci::DiffId& diff_id) override;
  std::vector<oci::DiffId> List() const override;
  std::string opaque_xattr() const override;

  // The layers whose directories other layers are made of.
  std::vector<oci::DiffId> BasesOf(
      const std::vector<oci::DiffId>& layers) const;

  // Remove(), telling the bytes freed; nullopt when it is in use.
  std::optional<uint64_t> TryRemove(const oci::DiffId& diff_id);

 private:
  // A chain whose layers are present and locked.
  struct Stack {
    std::vector<oci::DiffId> layers;  // bottom first, each once
    std::vector<LayerMeta> metas;
    std::shared_ptr<LayerLocks> locks;
  };
  // What is stacked, topmost first: a layer's own directory (`base` nullopt),
  // or that of the layer it is made on.
  struct Piece {
    size_t layer;
    std::optional<oci::DiffId> base;
  };
  // Of the lowest `count` layers.
  static std::vector<Piece> PiecesOf(const Stack& stack, size_t count);
  Stack Lock(const std::vector<oci::DiffId>& chain) const;
  void LockBases(Stack& stack) const;
  static TreeLayer LayerOf(const oci::DiffId& id, const LayerMeta& meta,
                           const std::optional<oci::DiffId>& base);
  // Of the lowest `count` layers.
  std::shared_ptr<const OverlayTree> TreeOf(const Stack& stack,
                                            size_t count) const;
  // Paths for the mount, topmost first.
  std::vector<std::string> LowerOf(const Stack& stack) const;

  Layout& layout_;
  Unsynced& unsynced_;
  mutable std::once_flag probed_;
  mutable std::string opaque_xattr_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LOCAL_SNAPSHOTTER_H_
