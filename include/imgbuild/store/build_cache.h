// CacheKey -> what the step made. Records are hints: whoever uses one checks
// that its layer is still there.
#ifndef IMGBUILD_STORE_BUILD_CACHE_H_
#define IMGBUILD_STORE_BUILD_CACHE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/manifest.h"

namespace imgbuild::store {

// The layer a step made; what an image manifest needs to name it.
struct StoredLayer {
  oci::DiffId diff_id;
  oci::Descriptor blob;
  uint64_t tar_size = 0;
};

struct CacheRecord {
  std::optional<StoredLayer> layer;  // nullopt: the step changed nothing
  std::string recipe;                // the printable key, for --explain
};

class BuildCache {
 public:
  virtual ~BuildCache() = default;
  virtual std::optional<CacheRecord> Find(const oci::Digest& key) = 0;
  virtual void Put(const oci::Digest& key, const CacheRecord& record) = 0;
  // The recipe that a step (`slot`: Dockerfile, stage and position) had the
  // last time: a miss is explained by the first field that differs.
  virtual std::optional<std::string> LastRecipe(const std::string& slot) = 0;
  virtual void SetLastRecipe(const std::string& slot,
                             const std::string& recipe) = 0;
  // Any layer known by its DiffId, from builds and pulls alike.
  virtual std::optional<StoredLayer> FindLayer(const oci::DiffId& diff_id) = 0;
  virtual void PutLayer(const StoredLayer& layer) = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_BUILD_CACHE_H_
