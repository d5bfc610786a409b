#include "store/checked_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

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
  WriteChecked(
      layout, path, [&](Writer& out) { out.Write(AsBytes(bytes)); }, cap);
}

void WriteChecked(Layout& layout, const std::string& path,
                  const std::function<void(Writer& out)>& write, size_t cap) {
  const std::string name = layout.NextName("checked-");
  {
    const UniqueFd file =
        fs::Open(layout.own_tmp(), name,
                 O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    // Room for the checksum, which is known at the end.
    const std::string room(kChecksumBytes, '\0');
    fs::WriteAll(file.get(), AsBytes(room), name);
    FdWriter out(file.get(), name);
    oci::Hasher hasher;
    TeeWriter both(out, hasher);
    write(both);
    if (hasher.size() > cap - kChecksumBytes) {
      ::unlinkat(layout.own_tmp(), name.c_str(), 0);
      return;
    }
    if (::lseek(file.get(), 0, SEEK_SET) != 0) {
      throw ErrnoError("seek", name, errno);
    }
    fs::WriteAll(file.get(), AsBytes(ToRaw(hasher.Finish())), name);
  }
  fs::Rename(layout.own_tmp(), name, layout.root_fd(), path);
}

}  // namespace imgbuild::store
