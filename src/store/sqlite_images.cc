#include "store/sqlite_images.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "imgbuild/util/error.h"

#include "store/record_codec.h"

namespace imgbuild::store {
namespace {

using Sync = Transaction::Sync;

// Columns: manifest, id, created, stored, size, platform.
ImageRecord ReadImage(const Query& query) {
  ImageRecord image{FromRaw(query.GetBlob(0)),
                    oci::ImageId(FromRaw(query.GetBlob(1))),
                    DecodePlatform(query.GetBlob(5)),
                    std::nullopt,
                    query.GetInt(3),
                    static_cast<uint64_t>(query.GetInt(4)),
                    {},
                    {}};
  if (!query.IsNull(2)) image.created_s = query.GetInt(2);
  return image;
}

// Columns: repository, tag, target, manifest, tag_hint, pulled.
NameRecord ReadName(const Query& query, oci::Repository repository) {
  NameRecord name{
      std::move(repository),     std::nullopt, FromRaw(query.GetBlob(2)),
      FromRaw(query.GetBlob(3)), std::nullopt, query.GetInt(5) != 0};
  if (!query.GetText(1).empty()) name.tag = query.GetText(1);
  if (!query.IsNull(4)) name.tag_hint = query.GetText(4);
  return name;
}

std::vector<NameRecord> ReadNames(Query& query) {
  std::vector<NameRecord> names;
  while (query.Step()) {
    names.push_back(ReadName(query, oci::Repository::Parse(query.GetText(0))));
  }
  std::ranges::sort(names, NameLess);
  return names;
}

void AddLayers(Database& db, std::string_view manifest, ImageRecord* image) {
  Query query = db.Prepare("SELECT layers FROM image_layers WHERE manifest=?1");
  query.Blob(1, manifest);
  if (query.Step()) DecodeLayers(query.GetBlob(0), image);
}

std::optional<ImageRecord> FindImage(Database& db, std::string_view manifest) {
  Query query = db.Prepare(
      "SELECT manifest,id,created,stored,size,platform FROM image "
      "WHERE manifest=?1");
  query.Blob(1, manifest);
  if (!query.Step()) return std::nullopt;
  ImageRecord image = ReadImage(query);
  AddLayers(db, manifest, &image);
  return image;
}

std::vector<NameRecord> NamesOfManifest(Database& db,
                                        std::string_view manifest) {
  Query query = db.Prepare(
      "SELECT repository,tag,target,manifest,tag_hint,pulled FROM name "
      "WHERE manifest=?1");
  query.Blob(1, manifest);
  return ReadNames(query);
}

void PutRef(Database& db, const oci::Digest& digest,
            const std::string& manifest) {
  db.Prepare("INSERT OR IGNORE INTO ref(digest,manifest) VALUES(?1,?2)")
      .Blob(1, ToRaw(digest))
      .Blob(2, manifest)
      .Run();
}

void InsertName(Database& db, const NameRecord& name) {
  Query query = db.Prepare(
      "INSERT INTO name(repository,tag,target,manifest,tag_hint,pulled) "
      "VALUES(?1,?2,?3,?4,?5,?6) "
      "ON CONFLICT(repository,tag,target,manifest) DO UPDATE SET "
      "tag_hint=coalesce(excluded.tag_hint,tag_hint),"
      "pulled=max(pulled,excluded.pulled)");
  query.Text(1, name.repository.ToString())
      .Text(2, name.tag.value_or(""))
      .Blob(3, ToRaw(name.target))
      .Blob(4, ToRaw(name.manifest))
      .Int(6, name.pulled ? 1 : 0);
  if (name.tag_hint) {
    query.Text(5, *name.tag_hint);
  } else {
    query.Null(5);
  }
  query.Run();
}

// True when writing the name would change nothing.
bool HasName(Database& db, const NameRecord& name) {
  Query query = db.Prepare(
      "SELECT tag_hint,pulled FROM name WHERE repository=?1 AND tag=?2 AND "
      "target=?3 AND manifest=?4");
  query.Text(1, name.repository.ToString())
      .Text(2, name.tag.value_or(""))
      .Blob(3, ToRaw(name.target))
      .Blob(4, ToRaw(name.manifest));
  return query.Step() &&
         (!name.tag_hint || query.GetText(0) == *name.tag_hint) &&
         (!name.pulled || query.GetInt(1) != 0);
}

// Lookups by a view of the row, without a string for each.
struct BytesHash {
  using is_transparent = void;
  size_t operator()(std::string_view bytes) const {
    return std::hash<std::string_view>()(bytes);
  }
};
// Raw manifest digest -> place in the list.
using Positions =
    std::unordered_map<std::string, size_t, BytesHash, std::equal_to<>>;

// All names, to their images.
void AddNames(Database& db, const Positions& position,
              std::vector<NamedImage>* images) {
  Query query = db.Prepare(
      "SELECT repository,tag,target,manifest,tag_hint,pulled FROM name");
  // Rows come by repository, so most have the one of the row before.
  std::string last_text;
  std::optional<oci::Repository> last;
  while (query.Step()) {
    const auto it = position.find(query.GetBlob(3));
    if (it == position.end()) continue;
    if (!last || query.GetText(0) != last_text) {
      last_text = query.GetText(0);
      last = oci::Repository::Parse(last_text);
    }
    std::vector<NameRecord>& names = (*images)[it->second].names;
    // A tag and its digest link: most images have just these.
    if (names.empty()) names.reserve(2);
    names.push_back(ReadName(query, *last));
  }
}

// The rows of a tag; one, by SetName().
std::vector<NameRecord> TagRows(Database& db, const std::string& repository,
                                const std::string& tag) {
  Query query = db.Prepare(
      "SELECT repository,tag,target,manifest,tag_hint,pulled FROM name "
      "WHERE repository=?1 AND tag=?2");
  query.Text(1, repository).Text(2, tag);
  return ReadNames(query);
}

// The bounds of all digests whose hex begins with `prefix`, as raw bytes.
std::pair<std::string, std::string> PrefixBounds(const std::string& prefix) {
  constexpr size_t kDigits = 64;
  const auto raw = [&](char fill) {
    const std::string hex =
        prefix + std::string(kDigits - std::min(kDigits, prefix.size()), fill);
    return ToRaw(oci::Digest::Parse("sha256:" + hex));
  };
  return {raw('0'), raw('f')};
}

Match MakeMatch(ImageRecord image, Match::How how,
                std::optional<NameRecord> name = std::nullopt) {
  return Match{std::move(image), how, std::move(name)};
}

}  // namespace

void SqliteImages::PutImage(const ImageRecord& image) {
  std::vector<oci::Digest> blobs = {image.manifest, image.id.digest()};
  for (const oci::Descriptor& layer : image.layers) {
    blobs.push_back(layer.digest);
  }
  // Before the row: a blob is on the disk when a name points at it.
  unsynced_.SyncBlobs(blobs);
  const std::string manifest = ToRaw(image.manifest);
  const std::string platform = EncodePlatform(image.platform);
  const std::string layers = EncodeLayers(image);
  const auto db = db_.Open();
  {
    // A no-op rebuild writes nothing.
    Query query = db->Prepare(
        "SELECT size,platform,layers FROM image JOIN image_layers "
        "USING(manifest) WHERE manifest=?1");
    query.Blob(1, manifest);
    if (query.Step() && query.GetInt(0) == static_cast<int64_t>(image.size) &&
        query.GetBlob(1) == platform && query.GetBlob(2) == layers) {
      return;
    }
  }
  Transaction transaction(*db, Sync::kLazy);
  Query query = db->Prepare(
      "INSERT INTO image(manifest,id,created,stored,size,platform) "
      "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(manifest) DO UPDATE SET "
      "size=excluded.size,platform=excluded.platform");
  query.Blob(1, manifest)
      .Blob(2, ToRaw(image.id.digest()))
      .Int(4, image.stored_s != 0 ? image.stored_s : clock_.NowSeconds())
      .Int(5, static_cast<int64_t>(image.size))
      .Blob(6, platform);
  if (image.created_s) {
    query.Int(3, *image.created_s);
  } else {
    query.Null(3);
  }
  query.Run();
  db->Prepare(
        "INSERT OR REPLACE INTO image_layers(manifest,layers) VALUES(?1,?2)")
      .Blob(1, manifest)
      .Blob(2, layers)
      .Run();
  PutRef(*db, image.id.digest(), manifest);
  for (const oci::Descriptor& layer : image.layers) {
    PutRef(*db, layer.digest, manifest);
  }
  for (const oci::DiffId& id : image.diff_ids) {
    PutRef(*db, id.digest(), manifest);
  }
  transaction.Commit();
}

std::optional<oci::Digest> SqliteImages::SetName(const NameRecord& name) {
  unsynced_.SyncBlobs({name.target, name.manifest});
  const std::string repository = name.repository.ToString();
  NameRecord link = name;
  link.tag.reset();
  NameRecord tag = name;
  tag.tag_hint.reset();

  const auto db = db_.Open();
  // A no-op rebuild must not wait for the disk.
  if (HasName(*db, link) && (!name.tag || HasName(*db, tag))) {
    return std::nullopt;
  }
  Transaction transaction(*db, Sync::kDurable);
  if (!FindImage(*db, ToRaw(name.manifest))) {
    throw Error(ErrorCode::kHost,
                fmt::format("name {}: there is no image {} in the store",
                            Familiar(name), name.manifest.ToString()));
  }
  std::optional<oci::Digest> before;
  if (name.tag) {
    for (const NameRecord& old : TagRows(*db, repository, *name.tag)) {
      if (old.manifest != name.manifest) before = old.manifest;
    }
    db->Prepare("DELETE FROM name WHERE repository=?1 AND tag=?2")
        .Text(1, repository)
        .Text(2, *name.tag)
        .Run();
    InsertName(*db, tag);
  }
  InsertName(*db, link);
  transaction.Commit();
  return before;
}

void SqliteImages::LinkIndex(const oci::Digest& index,
                             const oci::Digest& manifest) {
  unsynced_.SyncBlobs({index});
  const auto db = db_.Open();
  db->Prepare("INSERT OR IGNORE INTO index_link(target,manifest) VALUES(?1,?2)")
      .Blob(1, ToRaw(index))
      .Blob(2, ToRaw(manifest))
      .Run();
}

std::optional<Match> SqliteImages::Find(const std::string& text) const {
  const Lookup lookup = ParseLookup(text);
  const auto db = db_.Open();
  if (lookup.digest) return FindDigest(*db, lookup);
  if (!lookup.digest_prefix.empty()) return FindDigestPrefix(*db, lookup);
  if (lookup.tag) {
    if (auto match = FindTag(*db, lookup)) return match;
  }
  if (!lookup.id_prefix.empty()) return FindId(*db, lookup);
  return std::nullopt;
}

std::optional<Match> SqliteImages::FindDigest(Database& db,
                                              const Lookup& lookup) const {
  const std::string raw = ToRaw(*lookup.digest);
  std::vector<std::string> manifests;
  std::vector<NameRecord> names;
  if (lookup.repository) {
    Query query = db.Prepare(
        "SELECT repository,tag,target,manifest,tag_hint,pulled FROM name "
        "WHERE repository=?1 AND (target=?2 OR manifest=?2)");
    query.Text(1, lookup.repository->ToString()).Blob(2, raw);
    names = ReadNames(query);
    for (const NameRecord& name : names) {
      manifests.push_back(ToRaw(name.manifest));
    }
  } else {
    Query query = db.Prepare(
        "SELECT manifest FROM image WHERE manifest=?1 OR id=?1 UNION "
        "SELECT manifest FROM name WHERE target=?1 UNION "
        "SELECT manifest FROM index_link WHERE target=?1");
    query.Blob(1, raw);
    while (query.Step()) manifests.emplace_back(query.GetBlob(0));
  }
  std::ranges::sort(manifests);
  const auto same = std::ranges::unique(manifests);
  manifests.erase(same.begin(), same.end());
  std::vector<ImageRecord> images;
  for (const std::string& manifest : manifests) {
    if (auto image = FindImage(db, manifest)) {
      images.push_back(std::move(*image));
    }
  }
  if (images.empty()) return std::nullopt;
  ImageRecord& image = images[ChooseImage(images)];
  std::optional<NameRecord> matched;
  for (const NameRecord& name : names) {
    // The digest link, which sorts after the tags, says it best.
    if (name.manifest == image.manifest) matched = name;
  }
  return MakeMatch(std::move(image), Match::How::kDigest, std::move(matched));
}

std::optional<Match> SqliteImages::FindDigestPrefix(
    Database& db, const Lookup& lookup) const {
  Query query = db.Prepare(
      "SELECT repository,tag,target,manifest,tag_hint,pulled FROM name "
      "WHERE repository=?1");
  query.Text(1, lookup.repository->ToString());
  // Digest -> the names that have it.
  std::map<oci::Digest, std::vector<NameRecord>> found;
  for (const NameRecord& name : ReadNames(query)) {
    for (const oci::Digest& digest : {name.target, name.manifest}) {
      if (!digest.hex().starts_with(lookup.digest_prefix)) continue;
      found[digest].push_back(name);
      if (name.target == name.manifest) break;
    }
  }
  if (found.empty()) return std::nullopt;
  if (found.size() > 1) {
    std::vector<Candidate> candidates;
    for (auto& [digest, names] : found) {
      candidates.push_back({digest.ToString(), std::move(names)});
    }
    throw AmbiguousError(lookup.text, candidates);
  }
  Lookup whole = lookup;
  whole.digest = found.begin()->first;
  return FindDigest(db, whole);
}

std::optional<Match> SqliteImages::FindTag(Database& db,
                                           const Lookup& lookup) const {
  const auto rows = TagRows(db, lookup.repository->ToString(), *lookup.tag);
  if (rows.empty()) return std::nullopt;
  auto image = FindImage(db, ToRaw(rows.front().manifest));
  if (!image) return std::nullopt;
  return MakeMatch(std::move(*image), Match::How::kTag, rows.front());
}

std::optional<Match> SqliteImages::FindId(Database& db,
                                          const Lookup& lookup) const {
  const auto [low, high] = PrefixBounds(lookup.id_prefix);
  std::map<oci::Digest, std::vector<ImageRecord>> by_id;
  {
    Query query = db.Prepare(
        "SELECT manifest,id,created,stored,size,platform FROM image "
        "WHERE id BETWEEN ?1 AND ?2");
    query.Blob(1, low).Blob(2, high);
    while (query.Step()) {
      ImageRecord image = ReadImage(query);
      by_id[image.id.digest()].push_back(std::move(image));
    }
  }
  if (by_id.empty()) return std::nullopt;
  if (by_id.size() > 1) {
    std::vector<Candidate> candidates;
    for (const auto& [id, images] : by_id) {
      Candidate candidate{id.ToString(), {}};
      for (const ImageRecord& image : images) {
        for (NameRecord& name : NamesOfManifest(db, ToRaw(image.manifest))) {
          candidate.names.push_back(std::move(name));
        }
      }
      candidates.push_back(std::move(candidate));
    }
    throw AmbiguousError(lookup.text, candidates);
  }
  std::vector<ImageRecord>& images = by_id.begin()->second;
  ImageRecord& image = images[ChooseImage(images)];
  AddLayers(db, ToRaw(image.manifest), &image);
  return MakeMatch(std::move(image), Match::How::kId);
}

std::optional<ImageRecord> SqliteImages::FindManifest(
    const oci::Digest& manifest) const {
  const auto db = db_.Open();
  return FindImage(*db, ToRaw(manifest));
}

std::vector<NameRecord> SqliteImages::NamesOf(
    const oci::Digest& manifest) const {
  const auto db = db_.Open();
  return NamesOfManifest(*db, ToRaw(manifest));
}

std::vector<NameRecord> SqliteImages::NamesOfId(const oci::ImageId& id) const {
  const auto db = db_.Open();
  Query query = db->Prepare(
      "SELECT repository,tag,target,manifest,tag_hint,pulled FROM name "
      "WHERE manifest IN (SELECT manifest FROM image WHERE id=?1)");
  query.Blob(1, ToRaw(id.digest()));
  return ReadNames(query);
}

std::vector<NamedImage> SqliteImages::List(ListDetail detail) const {
  std::vector<NamedImage> images;
  const auto db = db_.Open();
  // One snapshot for all queries, without waiting for writers.
  db->Exec("BEGIN");
  try {
    Positions position;
    {
      Query count = db->Prepare("SELECT count(*) FROM image");
      if (count.Step()) {
        images.reserve(static_cast<size_t>(count.GetInt(0)));
        position.reserve(images.capacity());
      }
      Query query = db->Prepare(
          "SELECT manifest,id,created,stored,size,platform FROM image "
          "ORDER BY stored DESC,created DESC,manifest");
      while (query.Step()) {
        position.emplace(query.GetBlob(0), images.size());
        images.push_back({ReadImage(query), {}});
      }
    }
    AddNames(*db, position, &images);
    if (detail == ListDetail::kFull) {
      Query query = db->Prepare("SELECT manifest,layers FROM image_layers");
      while (query.Step()) {
        const auto it = position.find(query.GetBlob(0));
        if (it == position.end()) continue;
        DecodeLayers(query.GetBlob(1), &images[it->second].image);
      }
    }
    db->Exec("COMMIT");
  } catch (...) {
    db->Exec("ROLLBACK");
    throw;
  }
  for (NamedImage& image : images) {
    if (image.names.size() > 1) std::ranges::sort(image.names, NameLess);
  }
  return images;
}

void SqliteImages::RemoveName(const NameRecord& name) {
  const auto db = db_.Open();
  Transaction transaction(*db, Sync::kDurable);
  db->Prepare(
        "DELETE FROM name WHERE repository=?1 AND tag=?2 AND target=?3 AND "
        "manifest=?4")
      .Text(1, name.repository.ToString())
      .Text(2, name.tag.value_or(""))
      .Blob(3, ToRaw(name.target))
      .Blob(4, ToRaw(name.manifest))
      .Run();
  transaction.Commit();
}

void SqliteImages::RemoveImage(const oci::Digest& manifest) {
  const std::string raw = ToRaw(manifest);
  const auto db = db_.Open();
  Transaction transaction(*db, Sync::kDurable);
  db->Prepare("DELETE FROM name WHERE manifest=?1").Blob(1, raw).Run();
  db->Prepare("DELETE FROM index_link WHERE manifest=?1").Blob(1, raw).Run();
  db->Prepare("DELETE FROM ref WHERE manifest=?1").Blob(1, raw).Run();
  db->Prepare("DELETE FROM image_layers WHERE manifest=?1").Blob(1, raw).Run();
  db->Prepare("DELETE FROM image WHERE manifest=?1").Blob(1, raw).Run();
  transaction.Commit();
}

}  // namespace imgbuild::store
