// Names and images in meta.db.
#ifndef IMGBUILD_SRC_STORE_SQLITE_IMAGES_H_
#define IMGBUILD_SRC_STORE_SQLITE_IMAGES_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/store/image_store.h"
#include "imgbuild/util/clock.h"

#include "store/lookup.h"
#include "store/meta_db.h"
#include "store/unsynced.h"

namespace imgbuild::store {

// Thread-safe. The arguments must outlive it.
class SqliteImages : public ImageStore {
 public:
  SqliteImages(MetaDb& db, Unsynced& unsynced, const Clock& clock)
      : db_(db), unsynced_(unsynced), clock_(clock) {}

  void PutImage(const ImageRecord& image) override;
  std::optional<oci::Digest> SetName(const NameRecord& name) override;
  void LinkIndex(const oci::Digest& index,
                 const oci::Digest& manifest) override;
  std::optional<Match> Find(const std::string& text) const override;
  std::optional<ImageRecord> FindManifest(
      const oci::Digest& manifest) const override;
  std::vector<NameRecord> NamesOf(const oci::Digest& manifest) const override;
  std::vector<NameRecord> NamesOfId(const oci::ImageId& id) const override;
  std::vector<NamedImage> List(ListDetail detail) const override;
  void RemoveName(const NameRecord& name) override;
  void RemoveImage(const oci::Digest& manifest) override;

 private:
  std::optional<Match> FindDigest(Database& db, const Lookup& lookup) const;
  std::optional<Match> FindDigestPrefix(Database& db,
                                        const Lookup& lookup) const;
  std::optional<Match> FindTag(Database& db, const Lookup& lookup) const;
  std::optional<Match> FindId(Database& db, const Lookup& lookup) const;

  MetaDb& db_;
  Unsynced& unsynced_;
  const Clock& clock_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_SQLITE_IMAGES_H_
