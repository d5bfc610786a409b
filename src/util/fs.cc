// Opening, looking, naming: the calls of fs.h that do not move contents.
#include "imgbuild/util/fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "imgbuild/util/error.h"

namespace imgbuild::fs {
namespace {

// How often openat2 is asked again when a rename elsewhere in the tree made it
// give up (EAGAIN); the kernel cannot prove then that ".." stayed inside.
constexpr int kOpenAttempts = 64;
// As the kernel: links on one path.
constexpr int kMaxLinks = 40;

int OpenAt2(int dirfd, const char* path, int flags, mode_t mode,
            uint64_t resolve) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) {
    how.mode = mode;
  }
  how.resolve = resolve;
  for (int attempt = 1;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    if (errno == EINTR) continue;
    if (errno != EAGAIN || attempt == kOpenAttempts) return -1;
  }
}

// A directory that may be searched but not read is still good for *at() calls.
UniqueFd TryOpenDirInRoot(int root_fd, const std::string& path) {
  UniqueFd dir = TryOpenInRoot(root_fd, path, O_RDONLY | O_DIRECTORY);
  if (!dir && errno == EACCES) {
    dir = TryOpenInRoot(root_fd, path, O_PATH | O_DIRECTORY);
  }
  return dir;
}

struct SplitPath {
  std::string parent;  // "" is the root
  std::string name;    // "." when the path names a directory by itself
};

// "a/b/" -> "a", "b". A last "." or ".." cannot be somebody's name inside its
// parent, so the whole path is the directory then.
SplitPath SplitLast(const std::string& path) {
  std::string text = path;
  while (!text.empty() && text.back() == '/') text.pop_back();
  const size_t slash = text.rfind('/');
  std::string name = slash == text.npos ? text : text.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") return {text, "."};
  return {slash == text.npos ? "" : text.substr(0, slash), std::move(name)};
}

// Makes the directory `path` (its parents exist). `links` counts the dangling
// links that were followed.
void MakeOneInRoot(int root_fd, const std::string& path, int links);

void MakeAllInRoot(int root_fd, const std::string& path, int links) {
  for (size_t end = 0; end != path.npos;) {
    end = path.find('/', end + 1);
    const std::string prefix = path.substr(0, end);
    if (TryOpenInRoot(root_fd, prefix, O_PATH | O_DIRECTORY)) continue;
    if (errno != ENOENT) throw ErrnoError("open", prefix, errno);
    MakeOneInRoot(root_fd, prefix, links);
  }
}

void MakeOneInRoot(int root_fd, const std::string& path, int links) {
  const SplitPath split = SplitLast(path);
  const UniqueFd parent = TryOpenDirInRoot(root_fd, split.parent);
  if (!parent) throw ErrnoError("open", split.parent, errno);
  if (::mkdirat(parent.get(), split.name.c_str(), 0755) == 0) return;
  if (errno != EEXIST) throw ErrnoError("mkdir", path, errno);
  // Something is there that could not be opened as a directory: a link to
  // what does not exist yet (made where it points), or a race that we lost.
  const auto info = LstatIfExists(parent.get(), split.name);
  if (!info || !S_ISLNK(info->st_mode)) return;
  if (links >= kMaxLinks) throw ErrnoError("mkdir", path, ELOOP);
  const std::string target = ReadLink(parent.get(), split.name);
  MakeAllInRoot(root_fd,
                target.starts_with('/') ? target : split.parent + "/" + target,
                links + 1);
}

}  // namespace

UniqueFd TryOpenInRoot(int root_fd, const std::string& path, int flags,
                       mode_t mode) {
  return UniqueFd(OpenAt2(root_fd, path.empty() ? "." : path.c_str(), flags,
                          mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS));
}

UniqueFd OpenInRoot(int root_fd, const std::string& path, int flags,
                    mode_t mode) {
  UniqueFd fd = TryOpenInRoot(root_fd, path, flags, mode);
  if (!fd) throw ErrnoError("open", path, errno);
  return fd;
}

std::optional<ParentOf> TryOpenParentInRoot(int root_fd,
                                            const std::string& path) {
  SplitPath split = SplitLast(path);
  UniqueFd dir = TryOpenDirInRoot(root_fd, split.parent);
  if (dir) return ParentOf{std::move(dir), std::move(split.name)};
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw ErrnoError("open", split.parent, errno);
}

ParentOf MakeParentInRoot(int root_fd, const std::string& path) {
  SplitPath split = SplitLast(path);
  UniqueFd dir = TryOpenDirInRoot(root_fd, split.parent);
  if (!dir && errno == ENOENT) {
    MakeAllInRoot(root_fd, split.parent, 0);
    dir = TryOpenDirInRoot(root_fd, split.parent);
  }
  if (!dir) throw ErrnoError("open", split.parent, errno);
  return {std::move(dir), std::move(split.name)};
}

UniqueFd Open(int dirfd, const std::string& path, int flags, mode_t mode) {
  for (;;) {
    UniqueFd fd(::openat(dirfd, path.c_str(), flags | O_CLOEXEC, mode));
    if (fd) return fd;
    if (errno != EINTR) throw ErrnoError("open", path, errno);
  }
}

UniqueFd OpenDir(int dirfd, const std::string& path) {
  return Open(dirfd, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
}

UniqueFd OpenIfExists(int dirfd, const std::string& path, int flags) {
  for (;;) {
    UniqueFd fd(::openat(dirfd, path.c_str(), flags | O_CLOEXEC));
    if (fd || errno == ENOENT || errno == ENOTDIR) return fd;
    if (errno != EINTR) throw ErrnoError("open", path, errno);
  }
}

std::optional<struct ::stat> LstatIfExists(int dirfd, const std::string& path) {
  struct ::stat info;
  // No automount: looking must not make anything happen.
  const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT;
  if (::fstatat(dirfd, path.c_str(), &info, flags) == 0) return info;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw ErrnoError("stat", path, errno);
}

struct ::stat Fstat(int fd) {
  struct ::stat info;
  if (::fstat(fd, &info) != 0) throw ErrnoError("fstat", PathOfFd(fd), errno);
  return info;
}

std::string ReadLink(int dirfd, const std::string& path) {
  // /proc links say size 0, so the size is tried, not asked for.
  for (std::string target(256, '\0');; target.resize(target.size() * 4)) {
    const ssize_t n =
        ::readlinkat(dirfd, path.c_str(), target.data(), target.size());
    if (n < 0) throw ErrnoError("readlink", path, errno);
    if (static_cast<size_t>(n) < target.size()) {
      target.resize(static_cast<size_t>(n));
      return target;
    }
  }
}

std::vector<std::string> ListDir(int dirfd) {
  // Opened again: the offset of `dirfd` stays as it is, and it may be O_PATH.
  UniqueFd fd = OpenDir(dirfd, ".");
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const std::unique_ptr<DIR, Close> dir(::fdopendir(fd.get()));
  if (!dir) throw ErrnoError("open", PathOfFd(dirfd), errno);
  fd.release();
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw ErrnoError("read directory", PathOfFd(dirfd), errno);
  std::sort(names.begin(), names.end());
  return names;
}

void MakeDir(int dirfd, const std::string& name, mode_t mode) {
  if (::mkdirat(dirfd, name.c_str(), mode) != 0) {
    throw ErrnoError("mkdir", name, errno);
  }
}

void MakeDirs(int dirfd, const std::string& path, mode_t mode) {
  for (size_t end = 0; end != path.npos;) {
    end = path.find('/', end + 1);
    const std::string prefix = path.substr(0, end);
    if (prefix.empty() || ::mkdirat(dirfd, prefix.c_str(), mode) == 0) continue;
    const int error_number = errno;
    struct ::stat info;
    if (::fstatat(dirfd, prefix.c_str(), &info, 0) == 0) {
      if (S_ISDIR(info.st_mode)) continue;
      throw ErrnoError("mkdir", prefix, ENOTDIR);
    }
    throw ErrnoError("mkdir", prefix, error_number);
  }
}

void Rename(int from_dir, const std::string& from, int to_dir,
            const std::string& to) {
  if (::renameat(from_dir, from.c_str(), to_dir, to.c_str()) != 0) {
    const int error_number = errno;
    throw ErrnoError("rename", from, error_number)
        .WithNote("the new name is \"" + to + "\"");
  }
}

std::string PathOfFd(int fd) {
  if (fd == AT_FDCWD) return ReadLink(AT_FDCWD, "/proc/self/cwd");
  return ReadLink(AT_FDCWD, "/proc/self/fd/" + std::to_string(fd));
}

}  // namespace imgbuild::fs
