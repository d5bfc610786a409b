#include "store/checked_file.h"

#include <fcntl.h>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "store/record_codec.h"

namespace imgbuild::store {
namespace {

constexpr size_t kChecksumBytes = 32;

}  // namespace

std::optional<std::string> ReadChecked(const Layout& layout,
                                       const std::string& path, size_t cap) {
  std::optional<std::string> bytes;
  try {
    bytes = fs::ReadFileIfExists(layout.root_fd(), path, cap);
  } catch (const Error&) {
    return std::nullopt;  // something else has its name: as good as absent
  }
  if (!bytes || bytes->size() < kChecksumBytes) return std::nullopt;
  const std::string checksum = bytes->substr(0, kChecksumBytes);
  bytes->erase(0, kChecksumBytes);
  if (ToRaw(oci::Digest::OfBytes(*bytes)) != checksum) return std::nullopt;
  return bytes;
}

void WriteChecked(Layout& layout, const std::string& path,
                  std::string_view bytes, size_t cap) {
  if (bytes.size() > cap - kChecksumBytes) return;
  const std::string name = layout.NextName("checked-");
  {
    const UniqueFd file =
        fs::Open(layout.own_tmp(), name,
                 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    fs::WriteAll(file.get(), AsBytes(ToRaw(oci::Digest::OfBytes(bytes))), name);
    fs::WriteAll(file.get(), AsBytes(bytes), name);
  }
  fs::Rename(layout.own_tmp(), name, layout.root_fd(), path);
}

}  // namespace imgbuild::store
