// The directory where everything is kept, and the four parts of it. Several
// processes may use one store at once; a dead process holds nothing.
#ifndef IMGBUILD_STORE_STORE_H_
#define IMGBUILD_STORE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/context/context.h"
#include "imgbuild/store/build_cache.h"
#include "imgbuild/store/container_store.h"
#include "imgbuild/store/content_store.h"
#include "imgbuild/store/image_store.h"
#include "imgbuild/store/limit.h"
#include "imgbuild/store/mount_store.h"
#include "imgbuild/store/snapshotter.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {

// Bumped when old programs could no longer read the store.
inline constexpr int kStoreVersion = 2;

// What `prune` and `rmi` gave back.
struct Swept {
  std::vector<oci::Digest> blobs;
  std::vector<oci::DiffId> layers;
  uint64_t bytes = 0;
};

// A container names the image that it needs in containers/ID/image, a mount in
// mounted/ID/image: its manifest digest as text. Sweep() keeps what that image
// needs.
inline constexpr char kContainerImageFile[] = "image";

// Where a blob can be fetched again: the repositories it was seen in.
struct BlobOrigin {
  oci::Repository repository;
};

// Something in the store that is not as it must be.
struct Damage {
  std::string what;    // "blob sha256:…", "layer sha256:…", "image app:1"
  std::string reason;  // "the content has another digest"
  bool dropped = false;
};

class Store {
 public:
  struct Options {
    std::string root;  // created (0700) if need be
    const Clock* clock = nullptr;
  };
  // $IMGBUILD_ROOT, else /var/lib/imgbuild as root, else
  // $XDG_DATA_HOME/imgbuild.
  static std::string DefaultRoot();
  // Throws Error(kHost): not a store, newer version, wrong owner or mode
  // (fixed where it can be), no permission, disk full.
  static std::unique_ptr<Store> Open(const Options& options);
  virtual ~Store() = default;

  virtual ContentStore& content() = 0;
  virtual Snapshotter& snapshots() = 0;
  virtual ImageStore& images() = 0;
  virtual BuildCache& cache() = 0;
  virtual ContainerStore& containers() = 0;
  virtual MountStore& mounts() = 0;
  virtual context::StatCacheStorage& stat_cache() = 0;

  virtual const std::string& root() const = 0;
  // A directory in tmp/ of this store: same file system, swept when its owner
  // is dead.
  virtual fs::TempDir NewTemp(const std::string& prefix) = 0;
  // The directory of the cache mount `id` (hashed, never used as a path).
  virtual std::string CacheMountDir(const std::string& id) = 0;

  virtual void AddOrigin(const oci::Digest& blob,
                         const oci::Repository& repository) = 0;
  virtual std::vector<BlobOrigin> Origins(const oci::Digest& blob) = 0;

  // Keeps everything that is in the store now or comes in from being swept,
  // while the lease lives (a shared flock; sweeping takes it exclusively).
  class Lease {
   public:
    virtual ~Lease() = default;
  };
  virtual std::unique_ptr<Lease> Hold() = 0;

  // Removes blobs and layers that no image, no cache record (unless
  // `drop_cache`), and no container needs. Waits for no one: returns nothing
  // done when a lease is held elsewhere. REQUIRES: no own lease.
  // With `drop_cache` the cache records and what is kept of unfinished
  // downloads go too. Also removes what dead processes left in tmp/.
  Swept Sweep(bool drop_cache) { return SweepExcept(drop_cache, {}); }
  // And leaves these blobs, though nothing here needs them.
  virtual Swept SweepExcept(bool drop_cache,
                            const std::vector<oci::Digest>& keep) = 0;
  // The same for these blobs and DiffIds alone, without looking at the rest of
  // the store: after an image has been removed.
  virtual Swept SweepOnly(const std::vector<oci::Digest>& candidates) = 0;

  // Removes what was used longest ago until the store takes at most
  // `limit.max_bytes`: first what Sweep() would remove, then cache records,
  // build by build, images without a tag, and cache mounts. Never what a tag,
  // a container, a mount or `limit.keep` needs. When that is not enough the
  // result says who holds the rest. REQUIRES: no own lease.
  virtual LimitResult KeepBelow(const Limit& limit) = 0;
  // A build uses that image: for the order in which KeepBelow() removes.
  virtual void NoteUse(const oci::Digest& manifest) = 0;

  // Reads all blobs and looks at all layers, images and the database. With
  // `repair` drops what is broken, and nothing else: blobs can be fetched and
  // layers unpacked again, an image without its manifest or config is only a
  // name. Layers are not compared with their blobs. Cancellation throws
  // kInterrupted between blobs.
  virtual std::vector<Damage> Check(bool repair, const CancelToken& cancel) = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_STORE_H_
