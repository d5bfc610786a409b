// Unpacked layers and the root file systems made of them. A layer is one
// directory in overlay form, keyed by DiffId; overlayfs stacks them. Only this
// module knows how a layer lies on disk.
//
//   unpack:  Begin() -> write below fd() -> Commit(diff_id): visible by rename
//   read:    View(chain) -> FileTree, without any mount
//   run:     Prepare(chain) -> Active: what to mount, where writes go
//            -> Commit(diff_id): the upper directory becomes the layer, or
//            destroy: it is gone
#ifndef IMGBUILD_STORE_SNAPSHOTTER_H_
#define IMGBUILD_STORE_SNAPSHOTTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::store {

// What a runtime mounts. Paths are absolute, `lower` has the topmost layer
// first. No upper: read-only.
struct OverlayMount {
  std::vector<std::string> lower;
  std::string upper;
  std::string work;
  bool user_xattr = false;  // inside a user namespace
};

// A layer being unpacked. Destroyed without Commit(): discarded.
class PendingLayer {
 public:
  virtual ~PendingLayer() = default;
  virtual int fd() const = 0;  // an empty directory
  // Postcondition: the layer is present (also when somebody else was faster).
  // Implied directories and lower links of `result` are kept beside it and
  // resolved per chain when it is stacked.
  virtual void Commit(const oci::DiffId& diff_id,
                      const layer::ExtractResult& result) = 0;
};

// A writable root file system.
class Active {
 public:
  virtual ~Active() = default;
  virtual const OverlayMount& mount() const = 0;
  virtual int upper_fd() const = 0;
  // The layers below, merged: what EmitUpper compares with.
  virtual std::shared_ptr<const FileTree> lower() const = 0;
  // Publishes the upper directory as that layer. REQUIRES: unmounted. With
  // `epoch` (the one the layer's tar was written with) the directory is first
  // made exactly what unpacking that tar would give: what the tar leaves out
  // goes, times are whole seconds and not after the epoch. Without it the
  // directory stays as the step left it.
  virtual void Commit(const oci::DiffId& diff_id,
                      std::optional<int64_t> epoch = std::nullopt) = 0;
};

class Snapshotter {
 public:
  virtual ~Snapshotter() = default;
  virtual bool Has(const oci::DiffId& diff_id) const = 0;
  virtual std::unique_ptr<PendingLayer> Begin() = 0;
  // A layer that is `base` with some files more or changed and none less: only
  // those, and the directories above them, are put below fd(). REQUIRES for
  // what the caller puts there: everything in `base` is in the new layer, and
  // what is no directory in `base` is none in the new layer. nullptr: there is
  // no such base here, or it is made like that itself (see DeltaOf()).
  virtual std::unique_ptr<PendingLayer> BeginOn(const oci::DiffId& base) = 0;
  // How a layer was made: on what, and the paths below fd() then. nullopt: on
  // nothing, or it is not there.
  struct Delta {
    oci::DiffId base;
    std::vector<std::string> paths;
  };
  virtual std::optional<Delta> DeltaOf(const oci::DiffId& diff_id) const = 0;
  // REQUIRES for both: every layer of the chain (bottom first) is present:
  // Error(kHost) naming the first that is not. The result keeps its layers
  // from being pruned while it lives.
  virtual std::shared_ptr<const FileTree> View(
      const std::vector<oci::DiffId>& chain) = 0;
  // The View of the layers of `below` and one more, at the cost of that one:
  // what `below` has read is not read again. `below` is from View() or
  // ViewOn(). nullptr: only View() of the whole chain can tell how these stand
  // on one another.
  virtual std::shared_ptr<const FileTree> ViewOn(const FileTree& below,
                                                 const oci::DiffId& layer) = 0;
  virtual std::unique_ptr<Active> Prepare(
      const std::vector<oci::DiffId>& chain) = 0;
  // Prepare() with the writable part in `directory` (absolute, existing, on
  // the store's file system), used again if it is there already, and left
  // there when the Active goes: a container's.
  virtual std::unique_ptr<Active> PrepareIn(
      const std::vector<oci::DiffId>& chain, const std::string& directory) = 0;
  // Idempotent; a layer in use by a View or an Active (of any process) stays
  // and false is returned.
  virtual bool Remove(const oci::DiffId& diff_id) = 0;
  virtual std::vector<oci::DiffId> List() const = 0;
  // The attribute of opaque directories here.
  virtual std::string opaque_xattr() const = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_SNAPSHOTTER_H_
