// Who uses which unpacked layer: shared locks on single bytes of one file, at
// an offset taken from the DiffId. A root file system of 500 layers holds one
// descriptor, and a dead process holds nothing. (Open file description locks:
// they conflict within a process, too, and end with the descriptor.)
#ifndef IMGBUILD_SRC_STORE_LAYER_LOCKS_H_
#define IMGBUILD_SRC_STORE_LAYER_LOCKS_H_

#include <optional>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::store {

class LayerLocks {
 public:
  // Shared locks on all of them. Waits for a removal under way (a rename).
  static LayerLocks Use(int root_fd, const std::vector<oci::DiffId>& layers);
  // Some more, with the same end.
  void Add(const std::vector<oci::DiffId>& layers);
  // nullopt when somebody uses the layer.
  static std::optional<LayerLocks> TryRemove(int root_fd,
                                             const oci::DiffId& layer);

 private:
  explicit LayerLocks(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LAYER_LOCKS_H_
