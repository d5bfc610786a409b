// The layer that a COPY makes, before it is written: paths of the new layer,
// each with its metadata and where its bytes are. Knows the files below, so
// that it can tell a directory from a file and keep what exists.
#ifndef IMGBUILD_BUILD_COPY_TREE_H_
#define IMGBUILD_BUILD_COPY_TREE_H_

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/layer/entry.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::build {

struct Owner {
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Two files of one copy with the same key become hard links.
struct InodeKey {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t source = 0;  // which source of the copy names it
  friend auto operator<=>(const InodeKey&, const InodeKey&) = default;
};

// An archive that is unpacked puts its own in place of what is there; a copy
// does not.
enum class ReplaceDirectory { kNo, kYes };
enum class ReplaceFile { kNo, kYes };

class CopyTree {
 public:
  // Times later than `epoch` become it.
  CopyTree(std::shared_ptr<const FileTree> below, int64_t epoch)
      : below_(std::move(below)), epoch_(epoch) {}

  // What is at `path` now: in the new layer, else below.
  std::optional<FileType> TypeAt(const std::string& path) const;
  // mkdir -p of a path whose links are resolved; missing ones get `mode` and
  // `owner`, existing ones stay. Throws Error(kStep) when something on the way
  // is no directory.
  void MakeDirs(const std::string& path, uint32_t mode, const Owner& owner);
  // A directory that is copied: metadata of an existing one is replaced only
  // when `overwrite`.
  void PutDirectory(layer::Entry entry, bool overwrite,
                    ReplaceFile replace = ReplaceFile::kNo);
  // A file, link or node. Replaces anything but a directory. `tree` and
  // `source` say where a file's bytes are; files with the same `inode` become
  // hard links of one another.
  void PutLeaf(layer::Entry entry, std::shared_ptr<const FileTree> tree,
               std::string source, std::optional<InodeKey> inode,
               ReplaceDirectory replace = ReplaceDirectory::kNo);
  // A file with these bytes.
  void PutText(layer::Entry entry, std::string text);

  // Adds everything, in order.
  void Write(layer::LayerWriter& writer, const CancelToken& cancel) const;
  bool empty() const { return planned_.empty(); }

 private:
  struct Planned {
    layer::Entry entry;
    std::shared_ptr<const FileTree> tree;
    std::string source;
    std::optional<std::string> text;
    std::optional<InodeKey> inode;
  };
  // Directories above `path` that exist below get an entry of their own.
  void KeepParents(const std::string& path);
  void Plan(Planned planned);
  // Forgets what is planned below a path that stops being a directory.
  void DropBelow(const std::string& path);

  std::shared_ptr<const FileTree> below_;
  const int64_t epoch_;
  std::map<std::string, Planned> planned_;
  std::string last_parent_;  // whose parents are known to be planned
};

// The entry of a file as it is in a tree (no xattrs).
layer::Entry ToEntry(const FileInfo& info, std::string path);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_COPY_TREE_H_
