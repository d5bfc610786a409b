// Finding the ignore file of a Dockerfile.
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <utility>

#include "imgbuild/context/context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::context {
namespace {

constexpr size_t kMaxIgnoreFile = size_t{1} << 20;

// nullptr when there is no such file. `shown` names it in messages.
std::shared_ptr<const SourceFile> ReadBeneath(int root_fd,
                                              const std::string& path,
                                              const std::string& shown) {
  // O_NONBLOCK: a FIFO must not hang us.
  const UniqueFd fd = TryOpenBeneath(
      root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, /*follow_links=*/true);
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return nullptr;
    // Passing over it would send what the user meant to keep back.
    if (errno == EXDEV) {
      throw Error(
          ErrorCode::kDockerfile,
          "open " + Quoted(shown) + ": a link leads out of the build context");
    }
    throw ErrnoError("open", shown, errno, ErrorCode::kDockerfile);
  }
  const struct ::stat info = fs::Fstat(fd.get());
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorCode::kDockerfile,
                "open " + Quoted(shown) + ": not a regular file");
  }
  if (static_cast<uint64_t>(info.st_size) > kMaxIgnoreFile) {
    throw Error(ErrorCode::kDockerfile,
                "read " + Quoted(shown) + ": larger than 1 MiB");
  }
  return std::make_shared<const SourceFile>(
      shown, fs::ReadFd(fd.get(), kMaxIgnoreFile, shown));
}

// `directory` relative to the context when it lies in there.
std::optional<std::string> InsideContext(int context_fd,
                                         const std::string& directory) {
  const std::string root = fs::PathOfFd(context_fd);
  if (directory == root) return "";
  const std::string prefix = root == "/" ? root : root + "/";
  if (!directory.starts_with(prefix)) return std::nullopt;
  return directory.substr(prefix.size());
}

std::shared_ptr<const SourceFile> FindBesideDockerfile(
    int context_fd, const std::string& dockerfile_path) {
  const size_t slash = dockerfile_path.rfind('/');
  std::string directory = ".";
  if (slash != std::string::npos) {
    directory = slash == 0 ? "/" : dockerfile_path.substr(0, slash);
  }
  const std::string name =
      (slash == std::string::npos ? dockerfile_path
                                  : dockerfile_path.substr(slash + 1)) +
      ".dockerignore";
  const std::string shown = dockerfile_path + ".dockerignore";
  const UniqueFd fd =
      fs::OpenIfExists(AT_FDCWD, directory, O_PATH | O_DIRECTORY);
  if (!fd) return nullptr;
  const auto inside = InsideContext(context_fd, fs::PathOfFd(fd.get()));
  if (!inside) return ReadBeneath(fd.get(), name, shown);
  return ReadBeneath(context_fd, inside->empty() ? name : *inside + "/" + name,
                     shown);
}

}  // namespace

std::shared_ptr<const SourceFile> FindIgnoreFile(
    int context_fd, const std::string& context_name,
    const std::string& dockerfile_path) {
  if (!dockerfile_path.empty() && dockerfile_path != "-") {
    auto file = FindBesideDockerfile(context_fd, dockerfile_path);
    if (file) return file;
  }
  std::string shown = ".dockerignore";
  if (!context_name.empty() && context_name != ".") {
    shown = context_name + (context_name.ends_with('/') ? "" : "/") + shown;
  }
  return ReadBeneath(context_fd, ".dockerignore", shown);
}

}  // namespace imgbuild::context
