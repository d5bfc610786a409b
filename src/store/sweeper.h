// Garbage collection: mark what names, images, cache records and containers
// need, remove the rest.
#ifndef IMGBUILD_SRC_STORE_SWEEPER_H_
#define IMGBUILD_SRC_STORE_SWEEPER_H_

#include <string>
#include <unordered_set>
#include <vector>

#include "imgbuild/store/store.h"
#include "imgbuild/util/clock.h"

#include "store/layout.h"
#include "store/local_content.h"
#include "store/local_snapshotter.h"
#include "store/meta_db.h"
#include "store/unsynced.h"

namespace imgbuild::store {

class Sweeper {
 public:
  // Unfinished downloads and context digests that nobody touched for so long
  // are swept.
  static constexpr int64_t kKeepSeconds = 7 * 24 * 3600;

  Sweeper(Layout& layout, Unsynced& unsynced, MetaDb& db, LocalContent& content,
          LocalSnapshotter& snapshots, const Clock& clock)
      : layout_(layout),
        unsynced_(unsynced),
        db_(db),
        content_(content),
        snapshots_(snapshots),
        clock_(clock) {}

  // Both REQUIRE the exclusive lease.
  Swept All(bool drop_cache, const std::vector<oci::Digest>& keep);
  Swept Only(const std::vector<oci::Digest>& candidates);

 private:
  using Marks = std::unordered_set<std::string>;  // raw digests

  void DropRecords(bool drop_cache);
  Marks MarkRecords(bool drop_cache);
  void MarkContainers(Marks* marks);
  void MarkUsers(const char* place, Marks* marks);
  bool IsMarked(Database& db, const std::string& raw);
  void DropUnmarkedRows(const Marks& marks);
  void RemoveBlob(const oci::Digest& digest, Swept* swept);
  void RemoveLayer(const oci::DiffId& diff_id, Swept* swept);
  void SweepTemporary(bool drop_cache);
  void SweepStatCache(bool drop_cache);

  Layout& layout_;
  Unsynced& unsynced_;
  MetaDb& db_;
  LocalContent& content_;
  LocalSnapshotter& snapshots_;
  const Clock& clock_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_SWEEPER_H_
