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
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/layer/entry.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/thread_pool.h"

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

// Where the bytes of a file are.
struct FileBytes {
  std::shared_ptr<const FileTree> tree;
  std::string path;
  // When its inode changed last, in nanoseconds, where another change would
  // mean that the bytes are not those that the cache key was made of.
  std::optional<int64_t> ctime;
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
  // A file, link or node. Replaces anything but a directory. `from` says where
  // a file's bytes are; files with the same `inode` become hard links of one
  // another.
  void PutLeaf(layer::Entry entry, FileBytes from,
               std::optional<InodeKey> inode,
               ReplaceDirectory replace = ReplaceDirectory::kNo);
  // A file with these bytes.
  void PutText(layer::Entry entry, std::string text);

  // Adds everything, in order, or those of `paths` that there are. Small files
  // are read ahead on the pool. Error(kHost) when a file is not what it was
  // when it was put here.
  void Write(layer::LayerWriter& writer, ThreadPool& pool,
             const CancelToken& cancel,
             const std::set<std::string>* paths = nullptr) const;
  size_t size() const { return planned_.size(); }
  bool empty() const { return planned_.empty(); }
  // What the layer has at `path`.
  const layer::Entry* Find(const std::string& path) const;
  // Whether some of the files are links of one another.
  bool HasLinks() const;
  // Whether a file of the layer has the bytes that `fd` has, which is as long.
  // REQUIRES: Find(path) is a file.
  bool HasBytes(const std::string& path, int fd) const;

 private:
  struct Planned {
    layer::Entry entry;
    FileBytes from;
    std::optional<std::string> text;
    std::optional<InodeKey> inode;
  };
  class Batches;
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
