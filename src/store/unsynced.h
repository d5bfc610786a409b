// Which blobs and layers are not yet known to be on the disk. Writing waits
// for no disk: a blob is synced when a name is about to point at it, a layer
// when somebody has time (Sweep). Until then a mark stands in
// unsynced/BOOT-ID/, made before the thing itself gets its name, so that after
// a crash of the machine every doubtful thing has a mark of an earlier boot:
// such blobs are hashed again, such layers are dropped (and made again from
// their blobs).
#ifndef IMGBUILD_SRC_STORE_UNSYNCED_H_
#define IMGBUILD_SRC_STORE_UNSYNCED_H_

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/unique_fd.h"

#include "store/layout.h"

namespace imgbuild::store {

// "sha256-HEX": a digest as one path component.
std::string FileNameOf(const oci::Digest& digest);
std::optional<oci::Digest> DigestOfFileName(std::string_view name);

// Which start of the machine this is.
std::string ReadBootId();

class Unsynced {
 public:
  // `boot_id` empty: the kernel's.
  explicit Unsynced(Layout& layout, std::string boot_id = "");

  void MarkBlob(const oci::Digest& digest);
  void MarkLayer(const oci::DiffId& diff_id);
  void ForgetBlob(const oci::Digest& digest) noexcept;
  void ForgetLayer(const oci::DiffId& diff_id) noexcept;

  // Postcondition: those of the blobs that exist are on the disk, and so are
  // their names.
  void SyncBlobs(const std::vector<oci::Digest>& digests);
  // The same for all blobs and layers that are there now.
  void SyncAll();

  // Once per process and cheap when there is nothing to do: deals with what
  // earlier boots left. Called before the first look at blobs or layers.
  void Recover();

 private:
  int OwnDir();
  void Mark(const std::string& name);
  void Forget(const std::string& name) noexcept;
  void RecoverBoot(int unsynced_fd, const std::string& boot);
  void RecoverBlob(const oci::Digest& digest);
  void RecoverLayer(const oci::DiffId& diff_id);

  Layout& layout_;
  std::string boot_id_;
  std::mutex mutex_;
  UniqueFd own_dir_;
  std::once_flag recovered_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_UNSYNCED_H_
