// Which images and containers are mounted for people to look at. There is no
// process that holds such a mount, so a record in the store does: it counts
// until it is removed or the machine has started anew.
#ifndef IMGBUILD_STORE_MOUNT_STORE_H_
#define IMGBUILD_STORE_MOUNT_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"

namespace imgbuild::store {

struct MountRecord {
  // A container's, else the 64 hex digits of the image's manifest digest.
  std::string id;
  bool of_container = false;
  oci::Digest manifest;
  oci::ImageId image;
  std::string reference;  // as it was typed
};

// Thread-safe. All throw Error(kHost).
class MountStore {
 public:
  virtual ~MountStore() = default;
  // Makes the directory, if need be, and the record. What the image needs is
  // kept from now on. REQUIRES: the caller holds a lease.
  virtual void Add(const MountRecord& record) = 0;
  // Those that count, by id.
  virtual std::vector<MountRecord> List() = 0;
  virtual std::optional<MountRecord> Find(const std::string& id) = 0;
  // The record and its files. REQUIRES: nothing is mounted there.
  virtual void Remove(const std::string& id) = 0;
  // Absolute. MountPoint() is in it, and is a directory while there is a
  // record.
  virtual std::string Directory(const std::string& id) const = 0;
  virtual std::string MountPoint(const std::string& id) const = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_MOUNT_STORE_H_
