// Keeps a store below a limit: what nothing needs first, then what was used
// longest ago.
#ifndef IMGBUILD_SRC_STORE_SHRINKER_H_
#define IMGBUILD_SRC_STORE_SHRINKER_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/store/container_store.h"
#include "imgbuild/store/image_store.h"
#include "imgbuild/store/limit.h"
#include "imgbuild/store/mount_store.h"

#include "store/layout.h"
#include "store/meta_db.h"
#include "store/sweeper.h"
#include "store/usage.h"

namespace imgbuild::store {

class Shrinker {
 public:
  Shrinker(Layout& layout, MetaDb& db, ImageStore& images,
           ContainerStore& containers, MountStore& mounts, Sweeper sweeper)
      : layout_(layout),
        db_(db),
        images_(images),
        containers_(containers),
        mounts_(mounts),
        sweeper_(std::move(sweeper)) {}

  // REQUIRES: the exclusive lease, unless the store is small enough anyway.
  LimitResult Run(const Limit& limit);

 private:
  // What goes as a whole: the records that one build used last, an image
  // without a tag, a cache mount.
  struct Unit {
    int64_t used = 0;  // seconds since 1970
    enum class Kind { kCacheRecords, kCacheMount, kImage } kind;
    std::string name;                    // kCacheMount: of its directory
    std::optional<ImageRecord> image{};  // kImage
  };

  std::vector<Unit> Units(const Limit& limit);
  bool MayGo(const NamedImage& named, const Limit& limit);
  int64_t LastUse(const ImageRecord& image) const;
  uint64_t Remove(const Unit& unit);
  uint64_t RemoveCacheRecords(int64_t used);
  uint64_t RemoveImage(const ImageRecord& image);
  std::vector<LimitResult::Holder> HoldersOf(const Usage& usage);

  Layout& layout_;
  MetaDb& db_;
  ImageStore& images_;
  ContainerStore& containers_;
  MountStore& mounts_;
  Sweeper sweeper_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_SHRINKER_H_
