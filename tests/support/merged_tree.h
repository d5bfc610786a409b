// Layers in overlay form merged in the plainest way: one map from path to
// file, the layers laid over it bottom up. What the real tree, which never
// looks at more than it must, is compared with.
#ifndef IMGBUILD_TESTS_SUPPORT_MERGED_TREE_H_
#define IMGBUILD_TESTS_SUPPORT_MERGED_TREE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::store {

struct MergedLayer {
  std::shared_ptr<const DirTree> files;
  int dir_fd = -1;  // of `files`, owned elsewhere
  layer::ExtractResult result;
};

class MergedTree : public FileTree {
 public:
  MergedTree(const std::vector<MergedLayer>& layers,
             const std::string& opaque_xattr);
  std::optional<FileInfo> Lstat(const std::string& path) const override;
  std::string ReadLink(const std::string& path) const override;
  std::vector<std::string> List(const std::string& path) const override;
  UniqueFd Open(const std::string& path) const override;
  std::map<std::string, std::string> Xattrs(
      const std::string& path) const override;

 private:
  struct Node {
    FileInfo info;
    std::shared_ptr<const DirTree> files;
    std::string path;  // there
    bool synthetic = false;
  };
  void Add(const MergedLayer& layer, uint64_t number);
  void Hide(const MergedLayer& layer, const std::string& path);
  void Put(const MergedLayer& layer, const std::string& path, uint64_t number);
  void MakeImplied(const std::string& path);
  void Erase(const std::string& path, bool itself);
  bool IsOpaque(const MergedLayer& layer, const std::string& path) const;

  std::string opaque_xattr_;
  std::map<std::string, Node> nodes_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_MERGED_TREE_H_
