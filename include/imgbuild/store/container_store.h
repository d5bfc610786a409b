// What is known of containers. A container is a row of meta.db and a directory
// containers/ID/ with its writable files; what its options mean is the
// business of the module `container`, which keeps them here as text.
#ifndef IMGBUILD_STORE_CONTAINER_STORE_H_
#define IMGBUILD_STORE_CONTAINER_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"

namespace imgbuild::store {

struct ContainerRecord {
  std::string id;    // 64 hex digits
  std::string name;  // unique
  oci::Digest manifest;
  oci::ImageId image;
  std::string reference;  // as it was typed; stays when the tag moves
  // Nanoseconds since 1970; 0: not yet.
  int64_t created_ns = 0;
  int64_t started_ns = 0;
  int64_t finished_ns = 0;
  int exit_code = 0;
  int restarts = 0;
  bool out_of_memory = false;
  std::string error = {};   // why it could not be started
  std::string config = {};  // how it was made; `container` reads it
};

// A container that needs an image.
struct ContainerUse {
  std::string id;
  std::string name;
  bool running = false;
};

// Held by the one process that runs a container, by whoever makes one and by
// whoever removes one. Goes with its process, however that ends.
class ContainerLock {
 public:
  virtual ~ContainerLock() = default;
};

// Thread-safe. All throw Error(kHost) when the store cannot be read or written.
class ContainerStore {
 public:
  virtual ~ContainerStore() = default;

  // Makes the directory and then the record, so that a record always has its
  // directory; a directory without a record is litter that SweepAbandoned()
  // removes. The image is kept from now on. Throws Error(kUsage) when the name
  // is taken; Docker's words.
  virtual void Add(const ContainerRecord& record) = 0;
  // By name, by id or by a prefix of one id. nullopt: there is none.
  // Error(kUsage) for a prefix of several, which it lists.
  virtual std::optional<ContainerRecord> Find(const std::string& text) = 0;
  // The one that was made last comes first.
  virtual std::vector<ContainerRecord> List() = 0;
  // All but id, name, manifest and image. False: it is gone.
  virtual bool Update(const ContainerRecord& record) = 0;
  // False: it is gone. Throws Error(kUsage) when the name is taken.
  virtual bool Rename(const std::string& id, const std::string& name) = 0;
  // The record first, then the files: what is left behind by a kill in between
  // is swept later. False: it is gone. REQUIRES: the caller has the lock.
  virtual bool Remove(const std::string& id) = 0;
  // Directories that no record names and nobody locks.
  virtual void SweepAbandoned() = 0;

  // Which containers need that image, also stopped ones.
  virtual std::vector<ContainerUse> UsersOf(const oci::ImageId& image) = 0;

  // Absolute; exists as long as the container.
  virtual std::string Directory(const std::string& id) const = 0;
  // nullptr: somebody else has it. Throws Error(kHost) when it has no
  // directory.
  virtual std::unique_ptr<ContainerLock> TryLock(const std::string& id) = 0;
  // Asks without taking it: true while the container is run (or made, or
  // removed).
  virtual bool IsLocked(const std::string& id) const = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_CONTAINER_STORE_H_
