#include "store/meta_db.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <thread>

#include "imgbuild/store/store.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::store {
namespace {

constexpr int64_t kSchemaVersion = kStoreVersion;
constexpr auto kOpenTimeout = std::chrono::seconds(30);

// The layers of an image are kept apart from it: most readers list all images
// and want none of them. `ref` answers "which images need this digest" (config,
// layer blobs, DiffIds) for a removal that must not read the whole store. In
// `name`, tag '' is a digest link.
constexpr char kSchema[] = R"sql(
CREATE TABLE image(
  manifest BLOB PRIMARY KEY,
  id BLOB NOT NULL,
  created INTEGER,
  stored INTEGER NOT NULL,
  size INTEGER NOT NULL,
  platform BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX image_id ON image(id);
CREATE TABLE image_layers(
  manifest BLOB PRIMARY KEY,
  layers BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE ref(
  digest BLOB NOT NULL,
  manifest BLOB NOT NULL,
  PRIMARY KEY(digest, manifest)) WITHOUT ROWID;
CREATE INDEX ref_manifest ON ref(manifest);
CREATE TABLE name(
  repository TEXT NOT NULL,
  tag TEXT NOT NULL,
  target BLOB NOT NULL,
  manifest BLOB NOT NULL,
  tag_hint TEXT,
  pulled INTEGER NOT NULL,
  PRIMARY KEY(repository, tag, target, manifest)) WITHOUT ROWID;
CREATE INDEX name_manifest ON name(manifest);
CREATE INDEX name_target ON name(target);
CREATE TABLE index_link(
  target BLOB NOT NULL,
  manifest BLOB NOT NULL,
  PRIMARY KEY(target, manifest)) WITHOUT ROWID;
CREATE INDEX index_link_manifest ON index_link(manifest);
CREATE TABLE cache(
  key BLOB PRIMARY KEY,
  diff_id BLOB,
  blob BLOB,
  layer BLOB,
  recipe TEXT NOT NULL,
  used INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX cache_diff_id ON cache(diff_id);
CREATE INDEX cache_blob ON cache(blob);
CREATE TABLE slot(name TEXT PRIMARY KEY, recipe TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE layer(
  diff_id BLOB PRIMARY KEY,
  blob BLOB NOT NULL,
  layer BLOB NOT NULL) WITHOUT ROWID;
CREATE INDEX layer_blob ON layer(blob);
CREATE TABLE origin(
  blob BLOB NOT NULL,
  repository TEXT NOT NULL,
  PRIMARY KEY(blob, repository)) WITHOUT ROWID;
)sql";

// Version 2. `config` is the JSON of the module `container`.
constexpr char kContainerSchema[] = R"sql(
CREATE TABLE container(
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  manifest BLOB NOT NULL,
  image BLOB NOT NULL,
  reference TEXT NOT NULL,
  created INTEGER NOT NULL,
  started INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  exit_code INTEGER NOT NULL,
  restarts INTEGER NOT NULL,
  out_of_memory INTEGER NOT NULL,
  error TEXT NOT NULL,
  config TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX container_image ON container(image);
)sql";

int64_t UserVersion(Database& db) {
  Query query = db.Prepare("PRAGMA user_version");
  return query.Step() ? query.GetInt(0) : 0;
}

void RefuseNewer(int64_t version, const std::string& path) {
  if (version <= kSchemaVersion) return;
  throw Error(ErrorCode::kHost,
              fmt::format("open {}: the store has version {}, this program "
                          "knows versions up to {}",
                          Quoted(path), version, kSchemaVersion))
      .WithHint("use the imgbuild that made it, or another --root");
}

// Under a lock, so that of several processes that meet an empty or older store
// one makes the tables. CheckVersion() reads the version from the header
// without the log: a new file still has a rollback journal here, and an older
// one is written out.
void UpdateSchema(Database& db) {
  Transaction transaction(db, Transaction::Sync::kDurable);
  const int64_t version = UserVersion(db);
  RefuseNewer(version, db.path());
  if (version < kSchemaVersion) {
    if (version < 1) db.Exec(kSchema);
    if (version < 2) db.Exec(kContainerSchema);
    db.Exec(fmt::format("PRAGMA user_version={}", kSchemaVersion).c_str());
  }
  transaction.Commit();
  if (version > 0 && version < kSchemaVersion) {
    db.Exec("PRAGMA wal_checkpoint(FULL)");
  }
}

void SetUp(Database& db) {
  const int64_t version = UserVersion(db);
  RefuseNewer(version, db.path());
  if (version < kSchemaVersion) UpdateSchema(db);
  // The log is read once by the first process that opens the store, so it is
  // kept at about 1 MiB.
  db.Exec(
      "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
      "PRAGMA wal_autocheckpoint=256; PRAGMA foreign_keys=OFF;"
      "PRAGMA cache_size=-16384; PRAGMA mmap_size=268435456");
}

}  // namespace

MetaDb::Access MetaDb::Open() {
  std::unique_lock lock(mutex_);
  if (db_) return Access(std::move(lock), &*db_);
  const auto start = std::chrono::steady_clock::now();
  while (!db_) {
    try {
      // The umask does not matter: the store's root is 0700.
      db_.emplace(path_);
      SetUp(*db_);
    } catch (const Error& error) {
      db_.reset();
      // While another process switches the new file to its log, SQLite says
      // "busy" at once, whatever time to wait was set.
      if (!error.temporary() ||
          std::chrono::steady_clock::now() - start > kOpenTimeout) {
        throw;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  return Access(std::move(lock), &*db_);
}

void MetaDb::CheckVersion() const {
  const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file) {
    if (errno == ENOENT) return;
    throw ErrnoError("open", path_, errno);
  }
  // sqlite.org/fileformat: the user version is the big-endian word at 60.
  std::array<unsigned char, 4> word{};
  if (::pread(file.get(), word.data(), word.size(), 60) != 4) return;
  RefuseNewer(int64_t{word[0]} << 24 | word[1] << 16 | word[2] << 8 | word[3],
              path_);
}

}  // namespace imgbuild::store
