#include "store/shrinker.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "imgbuild/util/fs.h"

#include "store/record_codec.h"
#include "store/tree_size.h"

namespace imgbuild::store {
namespace {

constexpr size_t kMaxHolders = 8;

std::string NameOf(const NamedImage& named) {
  for (const NameRecord& name : named.names) {
    if (name.tag) return name.repository.Familiar() + ":" + *name.tag;
  }
  if (named.names.empty()) return named.image.manifest.ToString();
  const NameRecord& name = named.names.front();
  return name.repository.Familiar() + "@" + name.target.ToString();
}

uint64_t SizeIn(const std::map<std::string, uint64_t>& sizes,
                const oci::Digest& digest) {
  const auto it = sizes.find(digest.hex());
  return it == sizes.end() ? 0 : it->second;
}

}  // namespace

LimitResult Shrinker::Run(const Limit& limit) {
  LimitResult result;
  Usage usage = MeasureUsage(layout_);
  result.bytes_before = usage.Total();
  result.bytes = result.bytes_before;
  if (result.bytes <= limit.max_bytes) return result;
  result.freed =
      sweeper_.All(/*drop_cache=*/false, {limit.keep.begin(), limit.keep.end()})
          .bytes;
  result.bytes = MeasureUsage(layout_).Total();
  if (result.bytes > limit.max_bytes) {
    for (const Unit& unit : Units(limit)) {
      const uint64_t freed = Remove(unit);
      result.freed += freed;
      result.bytes -= std::min(result.bytes, freed);
      if (result.bytes > limit.max_bytes) continue;
      // Removing writes, too: the database's log.
      result.bytes = MeasureUsage(layout_).Total();
      if (result.bytes <= limit.max_bytes) break;
    }
    usage = MeasureUsage(layout_);
    result.bytes = usage.Total();
  }
  if (result.bytes > limit.max_bytes) result.holders = HoldersOf(usage);
  return result;
}

// The one that was used longest ago first. Of one time, cache records before
// the images that stand on the same layers.
std::vector<Shrinker::Unit> Shrinker::Units(const Limit& limit) {
  std::vector<Unit> units;
  {
    const auto db = db_.Open();
    Query query = db->Prepare("SELECT DISTINCT used FROM cache");
    while (query.Step()) {
      units.push_back({query.GetInt(0), Unit::Kind::kCacheRecords, "", {}});
    }
  }
  const UniqueFd mounts =
      fs::OpenIfExists(layout_.root_fd(), "mounts", O_RDONLY | O_DIRECTORY);
  if (mounts) {
    for (const std::string& name : fs::ListDir(mounts.get())) {
      const auto st = fs::LstatIfExists(mounts.get(), name);
      if (!st) continue;
      units.push_back({st->st_mtim.tv_sec, Unit::Kind::kCacheMount, name, {}});
    }
  }
  for (NamedImage& named : images_.List()) {
    if (!MayGo(named, limit)) continue;
    const int64_t used = LastUse(named.image);
    units.push_back({used, Unit::Kind::kImage, "", std::move(named.image)});
  }
  std::ranges::stable_sort(units, {}, [](const Unit& unit) {
    return std::tuple(unit.used, static_cast<int>(unit.kind));
  });
  return units;
}

bool Shrinker::MayGo(const NamedImage& named, const Limit& limit) {
  if (limit.keep.contains(named.image.manifest)) return false;
  for (const NameRecord& name : named.names) {
    if (name.tag || limit.keep.contains(name.target)) return false;
  }
  for (const MountRecord& mount : mounts_.List()) {
    if (mount.manifest == named.image.manifest) return false;
  }
  return containers_.UsersOf(named.image.id).empty();
}

// A build notes on the manifest that it used an image (Store::NoteUse()).
int64_t Shrinker::LastUse(const ImageRecord& image) const {
  const auto st = fs::LstatIfExists(
      layout_.blobs_fd(image.manifest.algorithm()), image.manifest.hex());
  return std::max<int64_t>(image.stored_s, st ? st->st_mtim.tv_sec : 0);
}

uint64_t Shrinker::Remove(const Unit& unit) {
  switch (unit.kind) {
    case Unit::Kind::kCacheRecords:
      return RemoveCacheRecords(unit.used);
    case Unit::Kind::kImage:
      return RemoveImage(*unit.image);
    case Unit::Kind::kCacheMount:
      break;
  }
  const std::string path = "mounts/" + unit.name;
  const uint64_t bytes = TreeSize(layout_.root_fd(), path);
  fs::RemoveTree(layout_.root_fd(), path);
  return bytes;
}

uint64_t Shrinker::RemoveCacheRecords(int64_t used) {
  std::vector<oci::Digest> released;
  {
    const auto db = db_.Open();
    {
      Query query = db->Prepare("SELECT diff_id,blob FROM cache WHERE used=?1");
      query.Int(1, used);
      while (query.Step()) {
        for (const int column : {0, 1}) {
          if (query.IsNull(column)) continue;
          released.push_back(FromRaw(query.GetBlob(column)));
        }
      }
    }
    Transaction transaction(*db, Transaction::Sync::kLazy);
    db->Prepare("DELETE FROM cache WHERE used=?1").Int(1, used).Run();
    transaction.Commit();
  }
  return sweeper_.Only(released).bytes;
}

uint64_t Shrinker::RemoveImage(const ImageRecord& image) {
  std::vector<oci::Digest> released = {image.manifest, image.id.digest()};
  for (const oci::Descriptor& layer : image.layers) {
    released.push_back(layer.digest);
  }
  for (const oci::DiffId& id : image.diff_ids) released.push_back(id.digest());
  images_.RemoveImage(image.manifest);
  return sweeper_.Only(released).bytes;
}

// What several images share counts for each of them: it stays as long as one
// of them does.
std::vector<LimitResult::Holder> Shrinker::HoldersOf(const Usage& usage) {
  std::vector<LimitResult::Holder> holders;
  for (const NamedImage& named : images_.List()) {
    uint64_t bytes = SizeIn(usage.blobs, named.image.manifest) +
                     SizeIn(usage.blobs, named.image.id.digest());
    for (const oci::Descriptor& layer : named.image.layers) {
      bytes += SizeIn(usage.blobs, layer.digest);
    }
    for (const oci::DiffId& id : named.image.diff_ids) {
      bytes += SizeIn(usage.layers, id.digest());
    }
    holders.push_back({"image " + NameOf(named), bytes});
  }
  for (const ContainerRecord& container : containers_.List()) {
    const auto it = usage.containers.find(container.id);
    if (it == usage.containers.end()) continue;
    holders.push_back({"container " + container.name, it->second});
  }
  holders.push_back({"the store's own records", usage.other});
  std::ranges::stable_sort(holders, std::greater(),
                           &LimitResult::Holder::bytes);
  if (holders.size() > kMaxHolders) holders.resize(kMaxHolders);
  return holders;
}

}  // namespace imgbuild::store
