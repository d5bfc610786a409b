// One hard limit on the size of a store, and what to do when it is passed.
#ifndef IMGBUILD_STORE_LIMIT_H_
#define IMGBUILD_STORE_LIMIT_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"

namespace imgbuild::store {

struct Limit {
  uint64_t max_bytes = 0;
  // Manifests and indexes that stay with all they need.
  std::set<oci::Digest> keep;
};

struct LimitResult {
  // Allocated on the disk by everything in the store.
  uint64_t bytes_before = 0;
  uint64_t bytes = 0;
  uint64_t freed = 0;
  // Somebody else is working on the store: nothing could be removed.
  bool busy = false;
  // What is left when the limit could not be kept: "image app:1", "container
  // web", "cache mounts", …; the biggest first.
  struct Holder {
    std::string what;
    uint64_t bytes = 0;
  };
  std::vector<Holder> holders;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_LIMIT_H_
