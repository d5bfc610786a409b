// Writes layers in overlay form and tells what a tree holds, as text.
#ifndef IMGBUILD_TESTS_SUPPORT_LAYER_TREE_H_
#define IMGBUILD_TESTS_SUPPORT_LAYER_TREE_H_

#include <string>
#include <vector>

#include "imgbuild/util/file_tree.h"

namespace imgbuild::store {

// One thing in a layer's directory. Parents are made as needed (0755).
struct Node {
  enum class Kind {
    kFile,
    kDirectory,
    kSymlink,
    kFifo,
    kHardLink,  // to `text`, a path in the same layer
    kWhiteout,
    kOpaque,  // marks the directory `path`
  };
  Kind kind = Kind::kFile;
  std::string path;
  std::string text = {};  // content or target
  uint32_t mode = 0644;
  uint32_t uid = 0;
  int64_t mtime = 1000;
};

// Whiteouts, opaque directories and files of other users can be made: root, or
// root of a user namespace with more than one id.
bool CanWriteLayers();

// The attribute of opaque directories that can be set here.
std::string OpaqueXattrHere();

// In order. Times of directories are set at the end.
void WriteNodes(int dir_fd, const std::vector<Node>& nodes,
                const std::string& opaque_xattr);

// "PATH TYPE MODE UID MTIME CONTENT" a line, in order of the paths, the root
// (".") first. Names of one inode are told by "=PATH" of the first.
std::vector<std::string> Describe(const FileTree& tree);

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_LAYER_TREE_H_
