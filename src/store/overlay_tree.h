// Layers in overlay form, merged as overlayfs would, read without any mount:
// whiteouts, opaque directories, directories that a layer only implies, and
// hard links into layers below. No link is ever followed.
#ifndef IMGBUILD_SRC_STORE_OVERLAY_TREE_H_
#define IMGBUILD_SRC_STORE_OVERLAY_TREE_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/unique_fd.h"

#include "store/layer_dir.h"

namespace imgbuild::store {

// One layer of a merged tree.
struct TreeLayer {
  std::string name;  // for error texts: the DiffId
  std::string dir;   // of its files, relative to the tree's directory
  // FileInfo::device of its files: two layers may share inodes (one was made
  // from the other by hard links) and are two trees all the same.
  uint64_t device = 0;
  std::vector<std::string> implied;
  std::vector<layer::ExtractResult::LowerLink> links;
};

// Thread-safe. Reads the listing of a directory once, from each layer that has
// it, and keeps up to kMaxCachedNames names of the directories seen last.
class OverlayTree : public FileTree {
 public:
  static constexpr size_t kMaxCachedNames = 100'000;

  // `layers` bottom first. `keep` is whatever must live as long as the tree.
  // Throws Error(kHost) when a hard link's target is in no layer below it.
  OverlayTree(UniqueFd dir, std::vector<TreeLayer> layers,
              std::string opaque_xattr, std::shared_ptr<void> keep);
  // `below` with one layer more on top: answers as a tree of all these layers
  // would, but what `below` has listed is not read again. REQUIRES: `below`
  // has no layer with the directory of `above`.
  OverlayTree(const OverlayTree& below, TreeLayer above);

  std::optional<FileInfo> Lstat(const std::string& path) const override;
  std::string ReadLink(const std::string& path) const override;
  std::vector<std::string> List(const std::string& path) const override;
  UniqueFd Open(const std::string& path) const override;
  std::map<std::string, std::string> Xattrs(
      const std::string& path) const override;

  bool HasLayer(const std::string& dir) const;
  const std::shared_ptr<void>& keep() const { return keep_; }

 private:
  struct Name;
  struct Raw;
  struct Directory;
  using DirectoryPtr = std::shared_ptr<const Directory>;
  // Where the metadata and the content of a path are.
  struct Place {
    uint32_t layer = 0;
    std::string path;        // in that layer
    bool synthetic = false;  // a directory that all layers only imply
  };
  struct Layer {
    TreeLayer spec;
    std::unordered_set<std::string> implied;
    // Resolved links, by path; and the paths by parent directory.
    std::map<std::string, Place> links;
    std::map<std::string, std::vector<std::string>> links_by_parent;
  };

  // `lower`: the layers so far, maybe this tree itself.
  void Push(TreeLayer spec, const OverlayTree& lower);
  // What `below` has listed, with the topmost layer merged in.
  void TakeListings(const OverlayTree& below);
  void MergeTop(const std::string& path);
  static void AddName(std::vector<Raw>::iterator first,
                      std::vector<Raw>::iterator last, Directory* directory);
  void ForgetBelow(const std::string& path);
  std::optional<Place> Find(const std::string& path) const;
  std::optional<Place> PlaceOf(const Directory& parent, const Name& name,
                               const std::string& path) const;
  Place PlaceOfDirectory(const std::vector<uint32_t>& layers,
                         const std::string& path) const;
  // nullptr when it is no directory.
  DirectoryPtr GetDirectory(const std::string& path) const;
  DirectoryPtr Load(const std::string& path,
                    const std::vector<uint32_t>& candidates) const;
  // False: nothing of the layers below shows (the directory is opaque).
  bool ReadLayer(uint32_t layer, const std::string& path, bool last,
                 std::vector<Raw>* names) const;
  void Remember(const std::string& path, const DirectoryPtr& directory) const;
  std::string OnDisk(const Place& place) const;

  std::shared_ptr<const UniqueFd> dir_;
  std::vector<std::shared_ptr<const Layer>> layers_;  // bottom first
  std::string opaque_xattr_;
  std::string private_prefix_;  // "trusted.overlay."
  std::shared_ptr<void> keep_;

  mutable std::mutex mutex_;
  mutable std::unordered_map<std::string, DirectoryPtr> cache_;
  mutable std::list<std::string> cache_order_;
  mutable size_t cached_names_ = 0;
  // Until then every directory in cache_ has its parent there.
  mutable bool evicted_ = false;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_OVERLAY_TREE_H_
