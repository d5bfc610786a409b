// Cache records, known layers and origins of blobs in meta.db.
#ifndef IMGBUILD_SRC_STORE_SQLITE_CACHE_H_
#define IMGBUILD_SRC_STORE_SQLITE_CACHE_H_

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/store/build_cache.h"
#include "imgbuild/util/clock.h"

#include "store/meta_db.h"

namespace imgbuild::store {

// Thread-safe. The arguments must outlive it.
class SqliteCache : public BuildCache {
 public:
  SqliteCache(MetaDb& db, const Clock& clock) : db_(db), clock_(clock) {}
  // Writes down which records were used (best effort).
  ~SqliteCache() override;

  std::optional<CacheRecord> Find(const oci::Digest& key) override;
  void Put(const oci::Digest& key, const CacheRecord& record) override;
  std::optional<std::string> LastRecipe(const std::string& slot) override;
  void SetLastRecipe(const std::string& slot,
                     const std::string& recipe) override;
  std::optional<StoredLayer> FindLayer(const oci::DiffId& diff_id) override;
  void PutLayer(const StoredLayer& layer) override;

 private:
  // One time for all that a process uses, so that the steps of a build are
  // pruned together (see Shrinker).
  int64_t UseTime();

  MetaDb& db_;
  const Clock& clock_;
  std::mutex mutex_;
  std::optional<int64_t> use_time_;
  std::set<std::string> used_;  // raw keys whose `used` is old
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_SQLITE_CACHE_H_
