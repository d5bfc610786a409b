#include "store/stat_cache_files.h"

#include <fcntl.h>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "store/record_codec.h"

namespace imgbuild::store {
namespace {

constexpr size_t kChecksumBytes = 32;

std::string PathOf(const std::string& key) {
  return "stat/" + oci::Digest::OfBytes(key).hex();
}

}  // namespace

std::optional<std::string> StatCacheFiles::Load(const std::string& key) {
  auto bytes = fs::ReadFileIfExists(layout_.root_fd(), PathOf(key), kMaxBytes);
  if (!bytes || bytes->size() < kChecksumBytes) return std::nullopt;
  const std::string checksum = bytes->substr(0, kChecksumBytes);
  bytes->erase(0, kChecksumBytes);
  if (ToRaw(oci::Digest::OfBytes(*bytes)) != checksum) return std::nullopt;
  return bytes;
}

void StatCacheFiles::Save(const std::string& key, const std::string& bytes) {
  if (bytes.size() > kMaxBytes - kChecksumBytes) return;
  const std::string name = layout_.NextName("stat-");
  {
    const UniqueFd file =
        fs::Open(layout_.own_tmp(), name,
                 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    fs::WriteAll(file.get(), AsBytes(ToRaw(oci::Digest::OfBytes(bytes))), name);
    fs::WriteAll(file.get(), AsBytes(bytes), name);
  }
  fs::Rename(layout_.own_tmp(), name, layout_.root_fd(), PathOf(key));
}

}  // namespace imgbuild::store
