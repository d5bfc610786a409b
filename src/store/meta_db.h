// meta.db: names, images, cache records, origins. The connection is opened by
// the first use and shared by the threads of this process, one at a time.
//
// Schema history (PRAGMA user_version):
//   1  image, image_layers, ref, name, index_link, cache, slot, layer, origin
//   2  container
// An older database is brought up to date by the first program that opens it.
// Digests are blobs of 32 (sha256) or 64 (sha512) bytes. A program refuses a
// database with a higher version than its own.
#ifndef IMGBUILD_SRC_STORE_META_DB_H_
#define IMGBUILD_SRC_STORE_META_DB_H_

#include <mutex>
#include <optional>
#include <string>

#include "store/sqlite.h"

namespace imgbuild::store {

class MetaDb {
 public:
  // Touches nothing yet.
  explicit MetaDb(std::string path) : path_(std::move(path)) {}

  // Exclusive use within this process while it lives.
  class Access {
   public:
    Database& operator*() const { return *db_; }
    Database* operator->() const { return db_; }

   private:
    friend class MetaDb;
    Access(std::unique_lock<std::mutex> lock, Database* db)
        : lock_(std::move(lock)), db_(db) {}
    std::unique_lock<std::mutex> lock_;
    Database* db_;
  };
  Access Open();

  // Reads the version out of the file's header, without SQLite: cheap enough
  // for every start. Throws Error(kHost) when it is newer than ours.
  void CheckVersion() const;

 private:
  std::string path_;
  std::mutex mutex_;
  std::optional<Database> db_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_META_DB_H_
