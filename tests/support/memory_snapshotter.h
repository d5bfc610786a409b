// Layers as temporary directories, merged by MergedTree.
#ifndef IMGBUILD_TESTS_SUPPORT_MEMORY_SNAPSHOTTER_H_
#define IMGBUILD_TESTS_SUPPORT_MEMORY_SNAPSHOTTER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "imgbuild/store/snapshotter.h"

namespace imgbuild::store {

// Not thread-safe. What Prepare() says can be mounted, but layers that depend
// on those below them are not adapted to them.
class MemorySnapshotter : public Snapshotter {
 public:
  MemorySnapshotter();
  ~MemorySnapshotter() override;
  bool Has(const oci::DiffId& diff_id) const override;
  std::unique_ptr<PendingLayer> Begin() override;
  // Every layer here is whole.
  std::unique_ptr<PendingLayer> BeginOn(const oci::DiffId&) override {
    return nullptr;
  }
  std::optional<Delta> DeltaOf(const oci::DiffId&) const override {
    return std::nullopt;
  }
  std::shared_ptr<const FileTree> View(
      const std::vector<oci::DiffId>& chain) override;
  std::shared_ptr<const FileTree> ViewOn(const FileTree&,
                                         const oci::DiffId&) override {
    return nullptr;
  }
  std::unique_ptr<Active> Prepare(
      const std::vector<oci::DiffId>& chain) override;
  std::unique_ptr<Active> PrepareIn(const std::vector<oci::DiffId>& chain,
                                    const std::string& directory) override;
  bool Remove(const oci::DiffId& diff_id) override;
  std::vector<oci::DiffId> List() const override;
  std::string opaque_xattr() const override;

 private:
  struct Layer;
  using Layers = std::map<oci::DiffId, std::shared_ptr<Layer>>;
  class Pending;
  class Step;
  std::unique_ptr<Active> Make(const std::vector<oci::DiffId>& chain,
                               const std::string& directory);

  std::string opaque_xattr_;
  std::shared_ptr<Layers> layers_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_MEMORY_SNAPSHOTTER_H_
