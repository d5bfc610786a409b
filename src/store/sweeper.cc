#include "store/sweeper.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <set>
#include <utility>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "store/mount_files.h"
#include "store/record_codec.h"

namespace imgbuild::store {
namespace {

using Sync = Transaction::Sync;

// True when nobody holds the flock of `name`.
bool IsAbandoned(int dirfd, const std::string& name, int flags) {
  const UniqueFd fd =
      fs::OpenIfExists(dirfd, name, flags | O_RDONLY | O_NOFOLLOW);
  return fd && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0;
}

}  // namespace

Swept Sweeper::All(bool drop_cache, const std::vector<oci::Digest>& keep) {
  Swept swept;
  MountFiles(layout_).SweepStale();
  Marks marks = MarkRecords(drop_cache);
  for (const oci::Digest& digest : keep) marks.insert(ToRaw(digest));
  MarkContainers(&marks);
  // Files before rows: on a full disk nothing can be written before something
  // is removed, and a row without its file is no more than a miss.
  SweepTemporary(drop_cache);
  SweepStatCache(drop_cache);
  for (const oci::Digest& digest : content_.List()) {
    if (!marks.contains(ToRaw(digest))) RemoveBlob(digest, &swept);
  }
  std::vector<oci::DiffId> kept;
  std::vector<oci::DiffId> unmarked;
  for (oci::DiffId& diff_id : snapshots_.List()) {
    const bool marked = marks.contains(ToRaw(diff_id.digest()));
    (marked ? kept : unmarked).push_back(std::move(diff_id));
  }
  // What kept layers stand on stays too. (SweepOnly() does not look: such a
  // layer is then unpacked again.)
  const std::vector<oci::DiffId> list = snapshots_.BasesOf(kept);
  const std::set<oci::DiffId> bases(list.begin(), list.end());
  for (const oci::DiffId& diff_id : unmarked) {
    if (!bases.contains(diff_id)) RemoveLayer(diff_id, &swept);
  }
  DropRecords(drop_cache);
  DropUnmarkedRows(marks);
  unsynced_.SyncAll();
  return swept;
}

Swept Sweeper::Only(const std::vector<oci::Digest>& candidates) {
  Swept swept;
  Marks containers;
  MarkContainers(&containers);
  for (const oci::Digest& digest :
       std::set<oci::Digest>(candidates.begin(), candidates.end())) {
    const std::string raw = ToRaw(digest);
    if (containers.contains(raw)) continue;
    {
      const auto db = db_.Open();
      if (IsMarked(*db, raw)) continue;
    }
    RemoveLayer(oci::DiffId(digest), &swept);
    RemoveBlob(digest, &swept);
  }
  return swept;
}

void Sweeper::DropRecords(bool drop_cache) {
  const auto db = db_.Open();
  Transaction transaction(*db, Sync::kLazy);
  if (drop_cache) db->Exec("DELETE FROM cache; DELETE FROM slot");
  db->Exec(
      "DELETE FROM name WHERE manifest NOT IN (SELECT manifest FROM image);"
      "DELETE FROM index_link WHERE manifest NOT IN "
      "(SELECT manifest FROM image)");
  transaction.Commit();
}

Sweeper::Marks Sweeper::MarkRecords(bool drop_cache) {
  std::vector<const char*> queries = {
      "SELECT manifest FROM image", "SELECT DISTINCT digest FROM ref",
      "SELECT target FROM name WHERE manifest IN (SELECT manifest FROM image)",
      "SELECT target FROM index_link WHERE manifest IN "
      "(SELECT manifest FROM image)"};
  if (!drop_cache) {
    queries.push_back("SELECT diff_id FROM cache WHERE diff_id IS NOT NULL");
    queries.push_back("SELECT blob FROM cache WHERE blob IS NOT NULL");
  }
  Marks marks;
  const auto db = db_.Open();
  for (const char* sql : queries) {
    Query query = db->Prepare(sql);
    while (query.Step()) marks.emplace(query.GetBlob(0));
  }
  return marks;
}

bool Sweeper::IsMarked(Database& db, const std::string& raw) {
  Query query = db.Prepare(
      "SELECT EXISTS(SELECT 1 FROM image WHERE manifest=?1)"
      " OR EXISTS(SELECT 1 FROM ref WHERE digest=?1)"
      " OR EXISTS(SELECT 1 FROM name WHERE target=?1)"
      " OR EXISTS(SELECT 1 FROM index_link WHERE target=?1)"
      " OR EXISTS(SELECT 1 FROM cache WHERE diff_id=?1)"
      " OR EXISTS(SELECT 1 FROM cache WHERE blob=?1)");
  query.Blob(1, raw);
  return query.Step() && query.GetInt(0) != 0;
}

// A container keeps its image although the image's names and record are gone,
// so what it needs is read from the manifest itself.
void Sweeper::MarkContainers(Marks* marks) {
  MarkUsers("containers", marks);
  MarkUsers(kMountedDir, marks);
}

void Sweeper::MarkUsers(const char* place, Marks* marks) {
  const UniqueFd dir =
      fs::OpenIfExists(layout_.root_fd(), place, O_RDONLY | O_DIRECTORY);
  if (!dir) return;
  for (const std::string& name : fs::ListDir(dir.get())) {
    const auto text =
        fs::ReadFileIfExists(dir.get(), name + "/" + kContainerImageFile, 4096);
    if (!text) continue;
    const auto digest = oci::Digest::TryParse(Trim(*text));
    if (!digest || !marks->insert(ToRaw(*digest)).second) continue;
    const auto bytes = content_.Read(*digest, oci::kMaxManifestBytes);
    if (!bytes) continue;
    const oci::Document document = oci::ParseDocument(*bytes, "");
    if (!document.manifest) continue;
    const oci::Digest& config = document.manifest->config.digest;
    marks->insert(ToRaw(config));
    for (const oci::Descriptor& layer : document.manifest->layers) {
      marks->insert(ToRaw(layer.digest));
    }
    const auto config_bytes = content_.Read(config, oci::kMaxConfigBytes);
    if (!config_bytes) continue;
    std::vector<oci::DiffId> layers =
        oci::ParseImageConfig(*config_bytes).diff_ids;
    // What is mounted holds no lock on what its layers stand on.
    if (place == std::string_view(kMountedDir)) {
      for (oci::DiffId& base : snapshots_.BasesOf(layers)) {
        layers.push_back(std::move(base));
      }
    }
    for (const oci::DiffId& id : layers) marks->insert(ToRaw(id.digest()));
  }
}

void Sweeper::DropUnmarkedRows(const Marks& marks) {
  const auto db = db_.Open();
  std::vector<std::string> layers;
  {
    Query query = db->Prepare("SELECT diff_id,blob FROM layer");
    while (query.Step()) {
      std::string id(query.GetBlob(0));
      if (marks.contains(id) || marks.contains(std::string(query.GetBlob(1)))) {
        continue;
      }
      layers.push_back(std::move(id));
    }
  }
  std::vector<std::string> origins;
  {
    Query query = db->Prepare("SELECT DISTINCT blob FROM origin");
    while (query.Step()) {
      std::string blob(query.GetBlob(0));
      if (!marks.contains(blob)) origins.push_back(std::move(blob));
    }
  }
  Transaction transaction(*db, Sync::kLazy);
  for (const std::string& id : layers) {
    db->Prepare("DELETE FROM layer WHERE diff_id=?1").Blob(1, id).Run();
  }
  for (const std::string& blob : origins) {
    db->Prepare("DELETE FROM origin WHERE blob=?1").Blob(1, blob).Run();
  }
  transaction.Commit();
}

void Sweeper::RemoveBlob(const oci::Digest& digest, Swept* swept) {
  const auto st =
      fs::LstatIfExists(layout_.blobs_fd(digest.algorithm()), digest.hex());
  if (!st) return;
  content_.Remove(digest);
  swept->blobs.push_back(digest);
  swept->bytes += static_cast<uint64_t>(st->st_blocks) * 512;
}

void Sweeper::RemoveLayer(const oci::DiffId& diff_id, Swept* swept) {
  if (!fs::LstatIfExists(layout_.layers_fd(), diff_id.hex())) return;
  const auto bytes = snapshots_.TryRemove(diff_id);
  if (!bytes) return;
  swept->layers.push_back(diff_id);
  swept->bytes += *bytes;
}

void Sweeper::SweepTemporary(bool drop_cache) {
  const int tmp = layout_.tmp_fd();
  for (const std::string& name : fs::ListDir(tmp)) {
    if (name.starts_with("p-")) {
      if (IsAbandoned(tmp, name, O_DIRECTORY)) fs::RemoveTree(tmp, name);
      continue;
    }
    if (!name.starts_with("partial-")) continue;
    const auto st = fs::LstatIfExists(tmp, name);
    if (!st) continue;
    const auto digest =
        DigestOfFileName(std::string_view(name).substr(sizeof("partial")));
    const bool old = clock_.NowSeconds() - st->st_mtim.tv_sec > kKeepSeconds;
    const bool useless = !digest || content_.Has(*digest);
    if ((drop_cache || old || useless) && IsAbandoned(tmp, name, 0)) {
      ::unlinkat(tmp, name.c_str(), 0);
    }
  }
}

void Sweeper::SweepStatCache(bool drop_cache) {
  const UniqueFd dir = fs::OpenDir(layout_.root_fd(), "stat");
  for (const std::string& name : fs::ListDir(dir.get())) {
    const auto st = fs::LstatIfExists(dir.get(), name);
    if (!st) continue;
    const bool old = clock_.NowSeconds() - st->st_mtim.tv_sec > kKeepSeconds;
    if (drop_cache || old) ::unlinkat(dir.get(), name.c_str(), 0);
  }
}

}  // namespace imgbuild::store
