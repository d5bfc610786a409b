// The directories of a store: made, checked and opened. Everything else in the
// module reaches the disk through the descriptors kept here.
//
//   oci-layout            marks blobs/ as an OCI layout's
//   blobs/sha256/HEX      blobs/sha512/HEX
//   layers/DIFFID/        unpacked layers, see layer_dir.h
//   meta.db               see meta_db.h
//   layer-sizes           see usage.h
//   lease                 flock: shared by who adds, exclusive by Sweep()
//   layer-locks           one byte per DiffId, see layer_locks.h
//   unsynced/BOOT/…       see unsynced.h
//   notes/ALG-HEX         what is noted of a blob, see ContentStore::Note()
//   stat/                 digests of context files, see stat_cache_files.h
//   mounts/HASH/          cache mounts
//   containers/ID/image   the manifest digest that a container needs
//   mounted/ID/           what is mounted for people, see mount_files.h
//   tmp/p-XXXX/           what one process has half-made; it holds its flock
//   tmp/partial-ALG-HEX   a download that can be resumed
#ifndef IMGBUILD_SRC_STORE_LAYOUT_H_
#define IMGBUILD_SRC_STORE_LAYOUT_H_

#include <atomic>
#include <mutex>
#include <string>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::store {

class Layout {
 public:
  // Creates what is missing. Throws Error(kHost).
  explicit Layout(const std::string& root);
  Layout(const Layout&) = delete;
  Layout& operator=(const Layout&) = delete;
  ~Layout();

  // Absolute, without links.
  const std::string& root() const { return root_; }
  std::string PathTo(const std::string& relative) const {
    return root_ + "/" + relative;
  }
  int root_fd() const { return root_fd_.get(); }
  int layers_fd() const { return layers_.get(); }
  int tmp_fd() const { return tmp_.get(); }
  int blobs_fd(oci::DigestAlgorithm algorithm) const {
    return algorithm == oci::DigestAlgorithm::kSha256 ? sha256_.get()
                                                      : sha512_.get();
  }

  // This process's directory in tmp/, made by the first call. Its flock is
  // held until the Layout goes away or the process dies: then anybody may
  // remove it.
  int own_tmp();
  std::string own_tmp_path();
  // A name that nothing else in own_tmp() has.
  std::string NextName(const char* prefix);

 private:
  void MakeOwnTmp();

  std::string root_;
  UniqueFd root_fd_;
  UniqueFd sha256_;
  UniqueFd sha512_;
  UniqueFd layers_;
  UniqueFd tmp_;
  std::mutex mutex_;
  UniqueFd own_tmp_;
  std::string own_tmp_name_;
  std::atomic<uint64_t> next_name_ = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LAYOUT_H_
