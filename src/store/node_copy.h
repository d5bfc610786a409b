// Copies of single files and directory metadata between trees, for layers
// that are made from other layers.
#ifndef IMGBUILD_SRC_STORE_NODE_COPY_H_
#define IMGBUILD_SRC_STORE_NODE_COPY_H_

#include <map>
#include <string>

#include "imgbuild/util/file_tree.h"

namespace imgbuild::store {

using Xattrs = std::map<std::string, std::string>;

// Attributes of overlayfs itself: "trusted.overlay.", "user.overlay.".
bool IsPrivateXattr(const std::string& key);

// Mode, owner, attributes (but those of overlayfs) and times of what is there.
// Times last: call it when the directory's content is complete.
void ApplyMetadata(int dirfd, const std::string& name, const FileInfo& info,
                   const Xattrs& xattrs);
bool HasMetadata(int dirfd, const std::string& name, const FileInfo& info,
                 const Xattrs& xattrs);

// Makes a copy of the non-directory `path` of `tree`.
void CopyNode(const FileTree& tree, const std::string& path, int to_dir,
              const std::string& to_name);

// A second tree of the same files: directories are made with all their
// metadata, everything else is a hard link (a copy where a file has too many
// names already).
void LinkTree(int from_dir, const std::string& from, int to_dir,
              const std::string& to);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_NODE_COPY_H_
