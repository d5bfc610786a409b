// What the store takes on the disk, part by part.
#ifndef IMGBUILD_SRC_STORE_USAGE_H_
#define IMGBUILD_SRC_STORE_USAGE_H_

#include <cstdint>
#include <map>
#include <string>

#include "imgbuild/oci/digest.h"

#include "store/layout.h"

namespace imgbuild::store {

// The file in the store's root that keeps the sizes of layers' directories,
// which never change: measuring one means to look at each of its files. A
// hint; rewritten when it does not agree with what is there.
inline constexpr char kLayerSizesFile[] = "layer-sizes";

struct Usage {
  std::map<std::string, uint64_t> blobs;   // by hex
  std::map<std::string, uint64_t> layers;  // by hex of the DiffId
  std::map<std::string, uint64_t> containers;
  std::map<std::string, uint64_t> cache_mounts;
  uint64_t other = 0;  // the database, notes, what is half-made

  uint64_t Total() const;
};

Usage MeasureUsage(Layout& layout);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_USAGE_H_
