// Digests of context files between builds, one file a context: stat/HEX, where
// HEX is the sha256 of the key. See checked_file.h.
#ifndef IMGBUILD_SRC_STORE_STAT_CACHE_FILES_H_
#define IMGBUILD_SRC_STORE_STAT_CACHE_FILES_H_

#include <optional>
#include <string>

#include "imgbuild/context/context.h"

#include "store/layout.h"

namespace imgbuild::store {

// Thread-safe.
class StatCacheFiles : public context::StatCacheStorage {
 public:
  // More is not remembered (a million context files need 100 MB).
  static constexpr size_t kMaxBytes = 1u << 30;

  explicit StatCacheFiles(Layout& layout) : layout_(layout) {}
  std::optional<std::string> Load(const std::string& key) override;
  void Save(const std::string& key,
            const std::function<void(Writer& out)>& write) override;

 private:
  Layout& layout_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_STAT_CACHE_FILES_H_
