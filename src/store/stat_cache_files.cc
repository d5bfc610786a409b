#include "store/stat_cache_files.h"

#include "imgbuild/oci/digest.h"

#include "store/checked_file.h"

namespace imgbuild::store {
namespace {

std::string PathOf(const std::string& key) {
  return "stat/" + oci::Digest::OfBytes(key).hex();
}

}  // namespace

std::optional<std::string> StatCacheFiles::Load(const std::string& key) {
  return ReadChecked(layout_, PathOf(key), kMaxBytes);
}

void StatCacheFiles::Save(const std::string& key,
                          const std::function<void(Writer& out)>& write) {
  WriteChecked(layout_, PathOf(key), write, kMaxBytes);
}

}  // namespace imgbuild::store
