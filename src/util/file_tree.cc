#include "imgbuild/util/file_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild {
namespace {

// More than any kernel follows on one path, so nothing that works there fails
// here; still an end to "a -> a".
constexpr int kMaxLinks = 255;
constexpr int kOpenAttempts = 64;

int OpenAt2(int dirfd, const char* path, int flags, uint64_t resolve) {
  struct open_how how = {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = resolve;
  for (int attempt = 1;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, dirfd, path, &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    // EAGAIN: a rename elsewhere, the kernel cannot prove then that ".."
    // stayed beneath.
    if (errno == EINTR || (errno == EAGAIN && attempt < kOpenAttempts)) {
      continue;
    }
    return -1;
  }
}

FileType TypeOf(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return FileType::kDirectory;
    case S_IFLNK:
      return FileType::kSymlink;
    case S_IFCHR:
      return FileType::kCharDevice;
    case S_IFBLK:
      return FileType::kBlockDevice;
    case S_IFIFO:
      return FileType::kFifo;
    case S_IFSOCK:
      return FileType::kSocket;
    default:
      return FileType::kRegular;
  }
}

// What FileTree calls absent: not there, or behind something that is not a
// directory (a file, a link).
bool IsAbsence(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP;
}

std::string ReadLinkOf(int link_fd, const std::string& path) {
  std::string target(256, '\0');
  for (;;) {
    const ssize_t n = ::readlinkat(link_fd, "", target.data(), target.size());
    if (n < 0) throw ErrnoError("readlink", path, errno);
    if (static_cast<size_t>(n) < target.size()) {
      target.resize(static_cast<size_t>(n));
      return target;
    }
    target.resize(target.size() * 2);
  }
}

// The components of `path` in reverse order: the next one is at the back.
void PushComponents(std::string_view path, std::vector<std::string>* stack) {
  std::vector<std::string> parts = Split(path, '/');
  for (auto it = parts.rbegin(); it != parts.rend(); ++it) {
    if (!it->empty() && *it != ".") stack->push_back(std::move(*it));
  }
}

}  // namespace

FileInfo ToFileInfo(const struct ::stat& st) {
  FileInfo info;
  info.type = TypeOf(st.st_mode);
  info.mode = st.st_mode & 07777;
  info.uid = st.st_uid;
  info.gid = st.st_gid;
  info.nlink = static_cast<uint32_t>(st.st_nlink);
  info.size = static_cast<uint64_t>(st.st_size);
  info.mtime_s = st.st_mtim.tv_sec;
  info.mtime_ns = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  info.ctime_s = st.st_ctim.tv_sec;
  info.ctime_ns = static_cast<uint32_t>(st.st_ctim.tv_nsec);
  info.device = st.st_dev;
  info.inode = st.st_ino;
  info.rdev_major = major(st.st_rdev);
  info.rdev_minor = minor(st.st_rdev);
  return info;
}

std::string ResolveInTree(const FileTree& tree, std::string_view path,
                          bool follow_last) {
  std::vector<std::string> todo;
  PushComponents(path, &todo);
  std::string resolved;
  int links = 0;
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == "..") {
      const size_t slash = resolved.rfind('/');
      resolved.resize(slash == std::string::npos ? 0 : slash);
      continue;
    }
    std::string next = resolved.empty() ? name : resolved + "/" + name;
    if (!todo.empty() || follow_last) {
      const std::optional<FileInfo> info = tree.Lstat(next);
      if (info && info->type == FileType::kSymlink) {
        if (++links > kMaxLinks) {
          throw Error(ErrorCode::kHost, "resolve " + Quoted(path) +
                                            ": too many levels of symbolic "
                                            "links");
        }
        const std::string target = tree.ReadLink(next);
        if (target.starts_with('/')) resolved.clear();
        PushComponents(target, &todo);
        continue;
      }
    }
    resolved = std::move(next);
  }
  return resolved;
}

std::optional<std::string> ReadFromTree(const FileTree& tree,
                                        std::string_view path, size_t cap) {
  const std::string resolved = ResolveInTree(tree, path, true);
  const std::optional<FileInfo> info = tree.Lstat(resolved);
  if (!info) return std::nullopt;
  if (info->type != FileType::kRegular) {
    throw Error(ErrorCode::kHost,
                "read " + Quoted(path) + ": not a regular file");
  }
  const UniqueFd fd = tree.Open(resolved);
  return fs::ReadFd(fd.get(), cap, path);
}

UniqueFd TryOpenBeneath(int root_fd, std::string_view path, int flags,
                        bool follow_links) {
  uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  if (!follow_links) resolve |= RESOLVE_NO_SYMLINKS;
  UniqueFd base;
  // The kernel takes PATH_MAX bytes at once; a longer path goes in pieces.
  while (path.size() >= PATH_MAX) {
    const size_t cut = path.substr(0, PATH_MAX - 1).rfind('/');
    if (cut == std::string_view::npos || cut == 0) {
      errno = ENAMETOOLONG;
      return {};
    }
    base.reset(OpenAt2(base ? base.get() : root_fd,
                       std::string(path.substr(0, cut)).c_str(),
                       O_PATH | O_DIRECTORY, resolve));
    if (!base) return {};
    path.remove_prefix(cut + 1);
  }
  const std::string rest = path.empty() ? "." : std::string(path);
  return UniqueFd(
      OpenAt2(base ? base.get() : root_fd, rest.c_str(), flags, resolve));
}

DirTree::DirTree(int dir_fd) : dir_(::fcntl(dir_fd, F_DUPFD_CLOEXEC, 3)) {
  if (!dir_) throw ErrnoError("dup", "directory", errno);
}

std::optional<FileInfo> DirTree::Lstat(const std::string& path) const {
  const UniqueFd fd = TryOpenBeneath(dir_.get(), path, O_PATH | O_NOFOLLOW);
  if (!fd) {
    if (IsAbsence(errno)) return std::nullopt;
    throw ErrnoError("lstat", path, errno);
  }
  return ToFileInfo(fs::Fstat(fd.get()));
}

std::string DirTree::ReadLink(const std::string& path) const {
  const UniqueFd fd = TryOpenBeneath(dir_.get(), path, O_PATH | O_NOFOLLOW);
  if (!fd) throw ErrnoError("readlink", path, errno);
  return ReadLinkOf(fd.get(), path);
}

std::vector<std::string> DirTree::List(const std::string& path) const {
  const UniqueFd fd =
      TryOpenBeneath(dir_.get(), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) throw ErrnoError("open", path, errno);
  return fs::ListDir(fd.get());
}

UniqueFd DirTree::Open(const std::string& path) const {
  // O_NONBLOCK: a FIFO that took the file's place must not hang us.
  UniqueFd fd = TryOpenBeneath(dir_.get(), path,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!fd) throw ErrnoError("open", path, errno);
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kHost,
                "open " + Quoted(path) + ": not a regular file");
  }
  return fd;
}

std::map<std::string, std::string> DirTree::Xattrs(
    const std::string& path) const {
  const size_t slash = path.rfind('/');
  const std::string parent =
      slash == std::string::npos ? "" : path.substr(0, slash);
  const std::string name =
      slash == std::string::npos ? path : path.substr(slash + 1);
  const UniqueFd dir = TryOpenBeneath(dir_.get(), parent, O_PATH | O_DIRECTORY);
  if (!dir) throw ErrnoError("listxattr", path, errno);
  return fs::ListXattrs(dir.get(), name);
}

std::optional<FileInfo> EmptyTree::Lstat(const std::string& path) const {
  if (!path.empty()) return std::nullopt;
  FileInfo root;
  root.type = FileType::kDirectory;
  root.mode = 0755;
  return root;
}

}  // namespace imgbuild
