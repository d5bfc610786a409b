// MountStore as directories mounted/ID/:
//   image    the manifest digest, as a container has it (see sweeper.cc)
//   record   lines: boot id, "image" or "container", image id, reference
//   files/   the mount point
#ifndef IMGBUILD_SRC_STORE_MOUNT_FILES_H_
#define IMGBUILD_SRC_STORE_MOUNT_FILES_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/store/mount_store.h"

#include "store/layout.h"

namespace imgbuild::store {

inline constexpr char kMountedDir[] = "mounted";

class MountFiles : public MountStore {
 public:
  // `boot_id` empty: the kernel's.
  explicit MountFiles(Layout& layout, std::string boot_id = "")
      : layout_(layout), boot_id_(std::move(boot_id)) {}

  void Add(const MountRecord& record) override;
  std::vector<MountRecord> List() override;
  std::optional<MountRecord> Find(const std::string& id) override;
  void Remove(const std::string& id) override;
  std::string Directory(const std::string& id) const override;
  std::string MountPoint(const std::string& id) const override;

  // Directories of earlier boots. REQUIRES: the exclusive lease.
  void SweepStale();

 private:
  const std::string& BootId();
  std::optional<MountRecord> Read(int mounted_fd, const std::string& id);

  Layout& layout_;
  std::string boot_id_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_MOUNT_FILES_H_
