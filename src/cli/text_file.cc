#include "cli/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

std::string RealPath(const std::string& path) {
  char* const resolved = ::realpath(path.c_str(), nullptr);
  if (resolved == nullptr) throw ErrnoError("open", path, errno);
  std::string out = resolved;
  std::free(resolved);
  return out;
}

std::string Below(const std::string& directory, const std::string& path) {
  const std::string prefix = directory == "/" ? "/" : directory + "/";
  return path.starts_with(prefix) ? path.substr(prefix.size()) : "";
}

}  // namespace

std::shared_ptr<const SourceFile> ReadTextFile(const std::string& path,
                                               size_t cap,
                                               std::string_view what) {
  const UniqueFd fd = fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    throw Error(ErrorCode::kUsage,
                fmt::format("there is no {} at {}", what, Quoted(path)));
  }
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} is not a file", Quoted(path)));
  }
  return std::make_shared<SourceFile>(path, fs::ReadFd(fd.get(), cap, path));
}

void ReplaceTextFile(const std::string& path, std::string_view before,
                     std::string_view text) {
  const std::string real = RealPath(path);
  const UniqueFd old = fs::Open(AT_FDCWD, real, O_RDONLY);
  const struct ::stat stat = fs::Fstat(old.get());
  if (fs::ReadFd(old.get(), 256u << 20, path) != before) {
    throw Error(ErrorCode::kHost,
                fmt::format("{} was changed meanwhile", Quoted(path)))
        .WithHint("nothing was written; run the command again");
  }
  fs::WriteFileAtomic(AT_FDCWD, real, text, stat.st_mode & 07777);
  const UniqueFd now = fs::Open(AT_FDCWD, real, O_RDONLY);
  const struct ::stat fresh = fs::Fstat(now.get());
  if ((fresh.st_uid != stat.st_uid || fresh.st_gid != stat.st_gid) &&
      ::fchown(now.get(), stat.st_uid, stat.st_gid) != 0) {
    throw ErrnoError("chown", path, errno);
  }
}

std::string PatchPath(const std::string& path) {
  const std::string real = RealPath(path);
  for (size_t slash = real.rfind('/'); slash != std::string::npos;
       slash = slash == 0 ? std::string::npos : real.rfind('/', slash - 1)) {
    const std::string directory = slash == 0 ? "/" : real.substr(0, slash);
    if (fs::LstatIfExists(AT_FDCWD, directory + "/.git")) {
      return Below(directory, real);
    }
  }
  const std::string here = Below(RealPath("."), real);
  return here.empty() ? real.substr(1) : here;
}

}  // namespace imgbuild::cli
