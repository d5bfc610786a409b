#include "registry/user_file.h"

#include <fcntl.h>
#include <sys/stat.h>

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

}  // namespace imgbuild::registry
