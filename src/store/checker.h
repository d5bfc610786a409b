// `store check`: looks at everything that is kept.
#ifndef IMGBUILD_SRC_STORE_CHECKER_H_
#define IMGBUILD_SRC_STORE_CHECKER_H_

#include <string>
#include <vector>

#include "imgbuild/store/store.h"
#include "imgbuild/util/cancel.h"

#include "store/layout.h"
#include "store/local_content.h"
#include "store/local_snapshotter.h"
#include "store/meta_db.h"
#include "store/sqlite_images.h"

namespace imgbuild::store {

class Checker {
 public:
  Checker(Layout& layout, MetaDb& db, LocalContent& content,
          LocalSnapshotter& snapshots, SqliteImages& images, bool repair,
          const CancelToken& cancel)
      : layout_(layout),
        db_(db),
        content_(content),
        snapshots_(snapshots),
        images_(images),
        repair_(repair),
        cancel_(cancel) {}

  std::vector<Damage> Run();

 private:
  void CheckDatabase();
  void CheckBlobs();
  void CheckLayers();
  void CheckImages();

  Layout& layout_;
  MetaDb& db_;
  LocalContent& content_;
  LocalSnapshotter& snapshots_;
  SqliteImages& images_;
  const bool repair_;
  const CancelToken& cancel_;
  std::vector<Damage> found_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_CHECKER_H_
