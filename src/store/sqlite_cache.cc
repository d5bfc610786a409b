#include "store/sqlite_cache.h"

#include <utility>

#include "imgbuild/util/error.h"

#include "store/record_codec.h"

namespace imgbuild::store {
namespace {

using Sync = Transaction::Sync;

// A record's time of use is only as exact as pruning needs: a hit in a no-op
// rebuild that follows another one writes nothing.
constexpr int64_t kUsedResolutionSeconds = 60;

void InsertLayer(Database& db, const StoredLayer& layer) {
  db.Prepare(
        "INSERT INTO layer(diff_id,blob,layer) VALUES(?1,?2,?3) "
        "ON CONFLICT(diff_id) DO UPDATE SET blob=excluded.blob,"
        "layer=excluded.layer")
      .Blob(1, ToRaw(layer.diff_id.digest()))
      .Blob(2, ToRaw(layer.blob.digest))
      .Blob(3, EncodeLayer(layer))
      .Run();
}

// A cache record is a hint: one that cannot be read is one that is not there.
std::optional<StoredLayer> TryDecodeLayer(const oci::DiffId& diff_id,
                                          std::string_view bytes) {
  try {
    return DecodeLayer(diff_id, bytes);
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

SqliteCache::~SqliteCache() {
  if (used_.empty()) return;
  try {
    const auto db = db_.Open();
    Transaction transaction(*db, Sync::kLazy);
    for (const std::string& key : used_) {
      db->Prepare("UPDATE cache SET used=?2 WHERE key=?1")
          .Blob(1, key)
          .Int(2, UseTime())
          .Run();
    }
    transaction.Commit();
  } catch (const Error&) {
    // Only the order of pruning depends on it.
  }
}

int64_t SqliteCache::UseTime() {
  const std::lock_guard lock(mutex_);
  if (!use_time_) use_time_ = clock_.NowSeconds();
  return *use_time_;
}

std::optional<CacheRecord> SqliteCache::Find(const oci::Digest& key) {
  const std::string raw = ToRaw(key);
  CacheRecord record;
  int64_t used = 0;
  {
    const auto db = db_.Open();
    Query query =
        db->Prepare("SELECT diff_id,layer,recipe,used FROM cache WHERE key=?1");
    query.Blob(1, raw);
    if (!query.Step()) return std::nullopt;
    if (!query.IsNull(0)) {
      record.layer = TryDecodeLayer(oci::DiffId(FromRaw(query.GetBlob(0))),
                                    query.GetBlob(1));
      if (!record.layer) return std::nullopt;
    }
    record.recipe = query.GetText(2);
    used = query.GetInt(3);
  }
  if (UseTime() - used > kUsedResolutionSeconds) {
    const std::lock_guard lock(mutex_);
    used_.insert(raw);
  }
  return record;
}

void SqliteCache::Put(const oci::Digest& key, const CacheRecord& record) {
  const auto db = db_.Open();
  Transaction transaction(*db, Sync::kLazy);
  {
    Query query = db->Prepare(
        "INSERT INTO cache(key,diff_id,blob,layer,recipe,used) "
        "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(key) DO UPDATE SET "
        "diff_id=excluded.diff_id,blob=excluded.blob,layer=excluded.layer,"
        "recipe=excluded.recipe,used=excluded.used");
    query.Blob(1, ToRaw(key)).Text(5, record.recipe);
    query.Int(6, UseTime());
    if (record.layer) {
      query.Blob(2, ToRaw(record.layer->diff_id.digest()))
          .Blob(3, ToRaw(record.layer->blob.digest))
          .Blob(4, EncodeLayer(*record.layer));
    } else {
      query.Null(2).Null(3).Null(4);
    }
    query.Run();
  }
  if (record.layer) InsertLayer(*db, *record.layer);
  transaction.Commit();
}

std::optional<std::string> SqliteCache::LastRecipe(const std::string& slot) {
  const auto db = db_.Open();
  Query query = db->Prepare("SELECT recipe FROM slot WHERE name=?1");
  query.Text(1, slot);
  if (!query.Step()) return std::nullopt;
  return std::string(query.GetText(0));
}

void SqliteCache::SetLastRecipe(const std::string& slot,
                                const std::string& recipe) {
  if (LastRecipe(slot) == recipe) return;
  const auto db = db_.Open();
  db->Prepare(
        "INSERT INTO slot(name,recipe) VALUES(?1,?2) "
        "ON CONFLICT(name) DO UPDATE SET recipe=excluded.recipe")
      .Text(1, slot)
      .Text(2, recipe)
      .Run();
}

std::optional<StoredLayer> SqliteCache::FindLayer(const oci::DiffId& diff_id) {
  const auto db = db_.Open();
  Query query = db->Prepare("SELECT layer FROM layer WHERE diff_id=?1");
  query.Blob(1, ToRaw(diff_id.digest()));
  if (!query.Step()) return std::nullopt;
  return TryDecodeLayer(diff_id, query.GetBlob(0));
}

void SqliteCache::PutLayer(const StoredLayer& layer) {
  const auto known = FindLayer(layer.diff_id);
  if (known && known->blob == layer.blob && known->tar_size == layer.tar_size) {
    return;
  }
  const auto db = db_.Open();
  InsertLayer(*db, layer);
}

}  // namespace imgbuild::store
