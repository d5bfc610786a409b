#include "imgbuild/store/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <utility>

#include "imgbuild/util/error.h"

#include "store/checker.h"
#include "store/layout.h"
#include "store/local_content.h"
#include "store/local_snapshotter.h"
#include "store/meta_db.h"
#include "store/mount_files.h"
#include "store/record_codec.h"
#include "store/shrinker.h"
#include "store/sqlite_cache.h"
#include "store/sqlite_containers.h"
#include "store/sqlite_images.h"
#include "store/stat_cache_files.h"
#include "store/sweeper.h"
#include "store/unsynced.h"

namespace imgbuild::store {
namespace {

constexpr char kLeaseFile[] = "lease";

// An environment variable that is set and not empty.
std::optional<std::string> Env(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

// Root of the whole system, and not only of a user namespace that an ordinary
// user has made: there, /var/lib belongs to nobody.
bool OwnsSystem() {
  struct ::stat st = {};
  return ::geteuid() == 0 && ::stat("/var/lib", &st) == 0 && st.st_uid == 0;
}

class FlockLease : public Store::Lease {
 public:
  explicit FlockLease(fs::FileLock lock) : lock_(std::move(lock)) {}

 private:
  fs::FileLock lock_;
};

class LocalStore : public Store {
 public:
  LocalStore(const std::string& root, const Clock& clock)
      : clock_(clock),
        layout_(root),
        unsynced_(layout_),
        db_(layout_.PathTo("meta.db")),
        content_(layout_, unsynced_),
        snapshots_(layout_, unsynced_),
        images_(db_, unsynced_, clock_),
        cache_(db_, clock_),
        containers_(layout_, db_, clock_),
        mounts_(layout_),
        stat_cache_(layout_) {
    db_.CheckVersion();
  }

  ContentStore& content() override { return content_; }
  Snapshotter& snapshots() override { return snapshots_; }
  ImageStore& images() override { return images_; }
  BuildCache& cache() override { return cache_; }
  ContainerStore& containers() override { return containers_; }
  MountStore& mounts() override { return mounts_; }
  context::StatCacheStorage& stat_cache() override { return stat_cache_; }
  const std::string& root() const override { return layout_.root(); }

  fs::TempDir NewTemp(const std::string& prefix) override {
    return fs::TempDir(layout_.own_tmp(), prefix);
  }

  std::string CacheMountDir(const std::string& id) override {
    const std::string name = "mounts/" + oci::Digest::OfBytes(id).hex();
    fs::MakeDirs(layout_.root_fd(), name, 0755);
    // When it was used last, see KeepBelow().
    ::utimensat(layout_.root_fd(), name.c_str(), nullptr, 0);
    return layout_.PathTo(name);
  }

  void AddOrigin(const oci::Digest& blob,
                 const oci::Repository& repository) override {
    const auto db = db_.Open();
    // A row that is there already must not start a write.
    Query query =
        db->Prepare("SELECT 1 FROM origin WHERE blob=?1 AND repository=?2");
    query.Blob(1, ToRaw(blob)).Text(2, repository.ToString());
    if (query.Step()) return;
    db->Prepare("INSERT OR IGNORE INTO origin(blob,repository) VALUES(?1,?2)")
        .Blob(1, ToRaw(blob))
        .Text(2, repository.ToString())
        .Run();
  }

  std::vector<BlobOrigin> Origins(const oci::Digest& blob) override {
    const auto db = db_.Open();
    Query query = db->Prepare(
        "SELECT repository FROM origin WHERE blob=?1 ORDER BY repository");
    query.Blob(1, ToRaw(blob));
    std::vector<BlobOrigin> origins;
    while (query.Step()) {
      origins.push_back({oci::Repository::Parse(query.GetText(0))});
    }
    return origins;
  }

  std::unique_ptr<Lease> Hold() override {
    return std::make_unique<FlockLease>(fs::FileLock(
        layout_.root_fd(), kLeaseFile, fs::FileLock::Mode::kShared));
  }

  Swept SweepExcept(bool drop_cache,
                    const std::vector<oci::Digest>& keep) override {
    const auto lock = TryExclusive();
    return lock ? MakeSweeper().All(drop_cache, keep) : Swept();
  }

  Swept SweepOnly(const std::vector<oci::Digest>& candidates) override {
    const auto lock = TryExclusive();
    return lock ? MakeSweeper().Only(candidates) : Swept();
  }

  LimitResult KeepBelow(const Limit& limit) override {
    const auto lock = TryExclusive();
    if (!lock) {
      LimitResult result;
      result.bytes = result.bytes_before = MeasureUsage(layout_).Total();
      result.busy = result.bytes > limit.max_bytes;
      return result;
    }
    return Shrinker(layout_, db_, images_, containers_, mounts_, MakeSweeper())
        .Run(limit);
  }

  void NoteUse(const oci::Digest& manifest) override {
    ::utimensat(layout_.blobs_fd(manifest.algorithm()), manifest.hex().c_str(),
                nullptr, AT_SYMLINK_NOFOLLOW);
  }

  std::vector<Damage> Check(bool repair, const CancelToken& cancel) override {
    return Checker(layout_, db_, content_, snapshots_, images_, repair, cancel)
        .Run();
  }

 private:
  std::optional<fs::FileLock> TryExclusive() {
    return fs::FileLock::Try(layout_.root_fd(), kLeaseFile,
                             fs::FileLock::Mode::kExclusive);
  }
  Sweeper MakeSweeper() {
    return Sweeper(layout_, unsynced_, db_, content_, snapshots_, clock_);
  }

  const Clock& clock_;
  Layout layout_;
  Unsynced unsynced_;
  MetaDb db_;
  LocalContent content_;
  LocalSnapshotter snapshots_;
  SqliteImages images_;
  SqliteCache cache_;
  SqliteContainers containers_;
  MountFiles mounts_;
  StatCacheFiles stat_cache_;
};

}  // namespace

oci::Digest ContentStore::Put(std::string_view bytes) {
  const auto ingest = Begin(std::nullopt, bytes.size());
  ingest->Write(AsBytes(bytes));
  return ingest->Commit();
}

std::string Store::DefaultRoot() {
  if (auto root = Env("IMGBUILD_ROOT")) return *root;
  if (OwnsSystem()) return "/var/lib/imgbuild";
  if (auto data = Env("XDG_DATA_HOME")) return *data + "/imgbuild";
  if (auto home = Env("HOME")) return *home + "/.local/share/imgbuild";
  throw Error(ErrorCode::kHost, "no place for the store: HOME is not set")
      .WithHint("set IMGBUILD_ROOT or give --root");
}

std::unique_ptr<Store> Store::Open(const Options& options) {
  return std::make_unique<LocalStore>(
      options.root, options.clock != nullptr ? *options.clock : SystemClock());
}

}  // namespace imgbuild::store
