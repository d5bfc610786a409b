// What a directory tree looked like when it was first read: directories are
// read when they are asked for, once, so that every step of a build sees the
// same files. About 64 bytes and the name for each.
#ifndef IMGBUILD_SRC_CONTEXT_DIR_INDEX_H_
#define IMGBUILD_SRC_CONTEXT_DIR_INDEX_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/thread_pool.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::context {

class DirIndex;

// One directory. Loaded by DirIndex::Load(), constant from then on.
class DirNode {
 public:
  struct Entry {
    uint64_t inode = 0;
    uint64_t size = 0;  // of a device file: its number
    int64_t mtime_s = 0;
    int64_t ctime_s = 0;
    uint32_t mtime_ns = 0;
    uint32_t ctime_ns = 0;
    uint32_t nlink = 0;
    uint32_t name_offset = 0;
    uint32_t child = 0;  // index + 1 into the node's children; 0: no directory
    uint16_t name_size = 0;
    uint16_t mode = 0;  // with the type bits
    uint16_t device = 0;
  };
  static_assert(sizeof(Entry) <= 64);

  const std::string& path() const { return path_; }
  const std::vector<Entry>& entries() const { return entries_; }
  std::string_view Name(const Entry& entry) const {
    return std::string_view(names_).substr(entry.name_offset, entry.name_size);
  }
  // nullptr for what is no directory.
  DirNode* Child(const Entry& entry) const {
    return entry.child == 0 ? nullptr : children_[entry.child - 1].get();
  }
  const Entry* Find(std::string_view name) const;
  // Ignored itself, and only here because something below may not be.
  bool ignored() const { return ignored_; }

 private:
  friend class DirIndex;

  std::string path_;
  std::shared_ptr<const PatternList::DirState> state_;
  bool ignored_ = false;
  std::mutex loading_;
  std::atomic<bool> loaded_ = false;
  std::string names_;
  std::vector<Entry> entries_;  // sorted by name
  std::vector<std::unique_ptr<DirNode>> children_;
  // Of ignored directories: whether something below is not ignored.
  enum class Shown : uint8_t { kUnknown, kYes, kNo };
  std::atomic<Shown> shown_ = Shown::kUnknown;
};

// The tree below one directory, as far as `ignore` shows it. Thread-safe.
class DirIndex {
 public:
  DirIndex(UniqueFd root, std::string name, PatternList ignore,
           CancelToken cancel);
  ~DirIndex();

  int root_fd() const { return root_fd_.get(); }
  const FileInfo& root_info() const { return root_info_; }
  const PatternList& ignore() const { return ignore_; }

  // Where something stands: the directory that holds it and its entry there;
  // the root has neither. `node` is set for directories.
  struct Place {
    const DirNode::Entry* entry = nullptr;
    DirNode* node = nullptr;
  };
  // nullopt when it is absent, ignored, or behind a link.
  std::optional<Place> Find(std::string_view path);
  FileInfo InfoOf(const DirNode::Entry& entry) const;

  // Reads one directory, if it has not been.
  void Load(DirNode* node);
  // Reads all below `node`, on all threads. Directories that `exclude` (whose
  // paths begin behind the first `skip` bytes) leaves out are not read.
  void LoadAll(DirNode* node, const PatternList* exclude, size_t skip,
               ThreadPool& pool);
  // Whether a directory is part of the tree: not ignored, or something below
  // is not.
  bool Shows(DirNode* node);

 private:
  class Loader;
  class Walk;
  uint16_t DeviceIndex(uint64_t device);
  bool ComputeShows(DirNode* node);

  const UniqueFd root_fd_;
  const std::string name_;
  const PatternList ignore_;
  const CancelToken cancel_;
  FileInfo root_info_;
  DirNode root_;
  // Device numbers that occur; mostly one.
  mutable std::mutex devices_mutex_;
  std::vector<uint64_t> devices_;
};

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_DIR_INDEX_H_
