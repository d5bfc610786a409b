// Digests of files by what stat(2) says of them, kept from build to build.
#ifndef IMGBUILD_SRC_CONTEXT_STAT_CACHE_H_
#define IMGBUILD_SRC_CONTEXT_STAT_CACHE_H_

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::context {

// Thread-safe. Loaded at the first look-up, as one string of packed records
// sorted by (device, inode) that is searched as it lies.
class StatCache {
 public:
  // `storage` may be null: then only this process remembers.
  StatCache(StatCacheStorage* storage, std::string key);

  std::optional<ContextSource::FileDigest> Find(const FileInfo& info);
  // `hashed_at`: nanoseconds since 1970, taken before the file was opened.
  // A file that changed so shortly before that another change could leave the
  // same times behind is not remembered (git's "racily clean" entries).
  void Add(const FileInfo& info, const ContextSource::FileDigest& digest,
           int64_t hashed_at);
  // Saves, if there is something new.
  void Flush();

  // Whether times this near to `hashed_at` prove nothing.
  static bool IsRacy(const FileInfo& info, int64_t hashed_at);

 private:
  struct Record {
    uint64_t device = 0;
    uint64_t inode = 0;
    uint64_t size = 0;
    int64_t mtime = 0;  // nanoseconds
    int64_t ctime = 0;
    unsigned char sha256[32] = {};
    uint32_t unused = 0;      // saves since somebody asked for it
    uint32_t has_xattrs = 0;  // 0 or 1
  };
  static_assert(sizeof(Record) == 80);
  struct FileId {
    uint64_t device;
    uint64_t inode;
    auto operator<=>(const FileId&) const = default;
  };
  static Record RecordOf(const FileInfo& info);
  static bool SameFile(const Record& a, const Record& b);
  void Load();
  Record At(size_t index) const;
  std::optional<size_t> Search(const FileId& id);
  static FileId IdOf(const Record& record) {
    return {record.device, record.inode};
  }
  // The place in slots_ of a fresh record, or the free one where it belongs.
  // REQUIRES: slots_ is not empty.
  size_t SlotOf(const FileId& id) const;
  void Put(const Record& record);
  void WriteMerged(const std::vector<uint32_t>& order, Writer& out);

  StatCacheStorage* const storage_;
  const std::string key_;
  std::mutex mutex_;
  bool loaded_ = false;
  std::string stored_;       // records, without the head
  std::vector<bool> asked_;  // of each stored record
  size_t next_guess_ = 0;    // inodes made together are asked for together
  // What is new, and a hash table of indices + 1 into it (0: free), never more
  // than half full: 88 bytes a file where a map takes 140.
  std::deque<Record> fresh_;
  std::vector<uint32_t> slots_;
  bool changed_ = false;
};

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_STAT_CACHE_H_
