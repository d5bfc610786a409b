// The layers of a root file system as a list that shares its lower part: a
// stage of 500 steps names 500 layers, not 125,000.
#ifndef IMGBUILD_BUILD_LAYER_CHAIN_H_
#define IMGBUILD_BUILD_LAYER_CHAIN_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/store/snapshotter.h"
#include "imgbuild/transfer/transfer.h"

namespace imgbuild::build {

// Cheap to copy; what it names never changes. Thread-safe.
class LayerChain {
 public:
  LayerChain() = default;  // no layers
  explicit LayerChain(const std::vector<transfer::LayerName>& layers);

  LayerChain With(transfer::LayerName layer) const;

  bool empty() const { return top_ == nullptr; }
  std::vector<transfer::LayerName> Layers() const;  // bottom first
  std::vector<oci::DiffId> DiffIds() const;         // bottom first
  std::string Key() const;  // the ChainId; "" for no layers

  // Fetches and unpacks what is not yet; asks only once about each layer that
  // it shares with other chains. REQUIRES: nothing is swept meanwhile.
  void EnsureUnpacked(transfer::Transfer& transfer) const;

 private:
  friend class TreeCache;
  struct Link;
  std::shared_ptr<Link> top_;
};

// The trees that were read last, because the next step mostly reads the same
// and one layer more. Few: each keeps names that it has listed. Thread-safe.
class TreeCache {
 public:
  explicit TreeCache(size_t limit) : limit_(limit) {}

  // REQUIRES: unpacked.
  std::shared_ptr<const FileTree> Get(store::Snapshotter& snapshots,
                                      const LayerChain& chain);

 private:
  using TreePtr = std::shared_ptr<const FileTree>;

  TreePtr Find(const LayerChain::Link& link);
  void Put(const LayerChain::Link& link, const TreePtr& tree);

  const size_t limit_;
  std::mutex mutex_;
  std::deque<std::pair<std::string, TreePtr>>
      trees_;  // by ChainId; newest last
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_LAYER_CHAIN_H_
