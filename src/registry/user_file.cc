#include "registry/user_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::registry {

std::optional<std::string> ReadUserFile(const std::string& path, size_t cap) {
  const UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd) return std::nullopt;
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kHost, "read \"" + path + "\": not a regular file");
  }
  return fs::ReadFd(fd.get(), cap, path);
}

std::string PlaceOf(const std::string& file, std::string_view text,
                    std::string_view needle, std::string_view after) {
  size_t from = after.empty() ? 0 : text.find(after);
  if (from == std::string_view::npos) from = 0;
  const size_t at = text.find(needle, from);
  if (at == std::string_view::npos) return file;
  const auto lines =
      std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n');
  return file + ":" + std::to_string(lines + 1);
}

}  // namespace imgbuild::registry
