// Files that are not synced and may be lost: the sha256 of the bytes, then the
// bytes. After a crash of the machine the checksum tells what is whole.
#ifndef IMGBUILD_SRC_STORE_CHECKED_FILE_H_
#define IMGBUILD_SRC_STORE_CHECKED_FILE_H_

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/util/io.h"

#include "store/layout.h"

namespace imgbuild::store {

// nullopt: absent, damaged, or more than `cap` bytes. `path` is relative to
// the store.
std::optional<std::string> ReadChecked(const Layout& layout,
                                       const std::string& path, size_t cap);
// Appears by one rename. More than `cap` bytes are not written.
void WriteChecked(Layout& layout, const std::string& path,
                  std::string_view bytes, size_t cap);
// The same with bytes that come in pieces.
void WriteChecked(Layout& layout, const std::string& path,
                  const std::function<void(Writer& out)>& write, size_t cap);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_CHECKED_FILE_H_
