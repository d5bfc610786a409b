// The layer that a COPY makes, before it is written: paths of the new layer,
// each with its metadata and where its bytes are. Knows the files below, so
// that it can tell a directory from a file and keep what exists.
#ifndef IMGBUILD_BUILD_COPY_TREE_H_
#define IMGBUILD_BUILD_COPY_TREE_H_

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/layer/entry.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/oci/digest.h"
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
  // What they are, where that is known without reading them.
  std::optional<oci::Digest> digest = std::nullopt;
};

// What a directory of the context puts below one place of the layer. Listed
// nowhere: whoever needs it visits it, so that its files cost no memory.
class CopyContents {
 public:
  struct Leaf {
    layer::Entry entry;
    FileBytes from;
    std::optional<InodeKey> inode;
  };

  virtual ~CopyContents() = default;
  // Calls visit(path in the layer, the file in the source, whether it may have
  // xattrs) in bytewise order, directories before what is in them; always the
  // same.
  using Visitor = std::function<void(const std::string& path,
                                     const context::ContextSource::Item& item,
                                     bool may_have_xattrs)>;
  virtual void Visit(const Visitor& visit) const = 0;
  // What the layer gets for one of those; directories are leaves too.
  virtual Leaf Make(const std::string& path,
                    const context::ContextSource::Item& item,
                    bool may_have_xattrs) const = 0;
  // The one at `path`; nullopt when there is none.
  virtual std::optional<FileInfo> Find(const std::string& path) const = 0;
  virtual std::optional<Leaf> MakeAt(const std::string& path) const = 0;
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
  // Everything that `contents` has below the directory `top`, as PutDirectory()
  // and PutLeaf() would put it.
  void PutContents(const std::string& top,
                   std::unique_ptr<const CopyContents> contents);

  // Adds everything, in order, or those of `paths` that there are. Small files
  // are read ahead on the pool. Error(kHost) when a file is not what it was
  // when it was put here. Members of which the writer has an earlier one, by
  // the digests of their files, are taken over without reading a file.
  void Write(layer::LayerWriter& writer, ThreadPool& pool,
             const CancelToken& cancel,
             const std::set<std::string>* paths = nullptr) const;
  size_t size() const { return planned_.size() + contents_.count; }
  bool empty() const { return size() == 0; }
  // What the layer has at `path`.
  std::optional<layer::Entry> Find(const std::string& path) const;
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
  class Stream;
  // PutContents() of the last one, as long as nothing else is put there.
  struct Contents {
    std::unique_ptr<const CopyContents> source;  // null: none
    std::string prefix;                          // "dir/"; "" for the root
    size_t count = 0;
    bool has_links = false;
    bool Covers(const std::string& path) const {
      return source != nullptr && path.starts_with(prefix);
    }
  };
  std::optional<FileType> TypeBelow(const std::string& path) const;
  std::optional<FileType> CheckDirectory(const std::string& path,
                                         ReplaceFile replace) const;
  void CheckLeaf(const std::string& path) const;
  // Before something is put at `path`: the contents are planned one by one
  // when the two meet.
  void Settle(const std::string& path);
  void PlanContents();
  Planned Clamped(CopyContents::Leaf leaf) const;
  // Directories above `path` that exist below get an entry of their own.
  void KeepParents(const std::string& path);
  void Plan(Planned planned);
  // Forgets what is planned below a path that stops being a directory.
  void DropBelow(const std::string& path);

  std::shared_ptr<const FileTree> below_;
  const int64_t epoch_;
  std::map<std::string, Planned> planned_;
  Contents contents_;
  // Whether the directory that was asked for last exists below.
  mutable std::string parent_below_;
  mutable bool has_parent_below_ = true;
  std::string last_parent_;  // whose parents are known to be planned
};

// The entry of a file as it is in a tree (no xattrs).
layer::Entry ToEntry(const FileInfo& info, std::string path);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_COPY_TREE_H_
