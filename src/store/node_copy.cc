#include "store/node_copy.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {
namespace {

void SetTimes(int dirfd, const std::string& name, const FileInfo& info) {
  const std::array<struct ::timespec, 2> times = {{
      {.tv_sec = info.mtime_s, .tv_nsec = info.mtime_ns},
      {.tv_sec = info.mtime_s, .tv_nsec = info.mtime_ns},
  }};
  if (::utimensat(dirfd, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) !=
      0) {
    throw ErrnoError("set times", name, errno);
  }
}

Xattrs OwnXattrs(int dirfd, const std::string& name) {
  Xattrs xattrs = fs::ListXattrs(dirfd, name);
  std::erase_if(xattrs,
                [](const auto& item) { return IsPrivateXattr(item.first); });
  return xattrs;
}

mode_t TypeBits(FileType type) {
  switch (type) {
    case FileType::kRegular:
      return S_IFREG;
    case FileType::kDirectory:
      return S_IFDIR;
    case FileType::kSymlink:
      return S_IFLNK;
    case FileType::kCharDevice:
      return S_IFCHR;
    case FileType::kBlockDevice:
      return S_IFBLK;
    case FileType::kFifo:
      return S_IFIFO;
    case FileType::kSocket:
      return S_IFSOCK;
  }
  return S_IFREG;
}

// A file of `from_dir` that cannot get another name.
void CopyOver(int from_dir, const std::string& name, int to_dir) {
  const DirTree tree(from_dir);
  CopyNode(tree, name, to_dir, name);
}

}  // namespace

bool IsPrivateXattr(const std::string& key) {
  return key.starts_with("trusted.overlay.") ||
         key.starts_with("user.overlay.");
}

void ApplyMetadata(int dirfd, const std::string& name, const FileInfo& info,
                   const Xattrs& xattrs) {
  if (::fchownat(dirfd, name.c_str(), info.uid, info.gid,
                 AT_SYMLINK_NOFOLLOW) != 0) {
    throw ErrnoError("chown", name, errno);
  }
  if (info.type != FileType::kSymlink &&
      ::fchmodat(dirfd, name.c_str(), info.mode, 0) != 0) {
    throw ErrnoError("chmod", name, errno);
  }
  // After chown, which drops security.capability.
  const std::string path =
      "/proc/self/fd/" + std::to_string(dirfd) + "/" + name;
  for (const auto& [key, value] : OwnXattrs(dirfd, name)) {
    if (!xattrs.contains(key)) ::lremovexattr(path.c_str(), key.c_str());
  }
  for (const auto& [key, value] : xattrs) {
    fs::SetXattr(dirfd, name, key, value);
  }
  SetTimes(dirfd, name, info);
}

bool HasMetadata(int dirfd, const std::string& name, const FileInfo& info,
                 const Xattrs& xattrs) {
  const auto st = fs::LstatIfExists(dirfd, name);
  if (!st) return false;
  const FileInfo now = ToFileInfo(*st);
  return now.type == info.type && now.mode == info.mode &&
         now.uid == info.uid && now.gid == info.gid &&
         now.mtime_s == info.mtime_s && now.mtime_ns == info.mtime_ns &&
         OwnXattrs(dirfd, name) == xattrs;
}

void CopyNode(const FileTree& tree, const std::string& path, int to_dir,
              const std::string& to_name) {
  const auto info = tree.Lstat(path);
  if (!info) throw ErrnoError("copy", path, ENOENT);
  if (info->type == FileType::kSymlink) {
    if (::symlinkat(tree.ReadLink(path).c_str(), to_dir, to_name.c_str()) !=
        0) {
      throw ErrnoError("symlink", to_name, errno);
    }
  } else if (info->type == FileType::kRegular) {
    const UniqueFd from = tree.Open(path);
    const UniqueFd to = fs::Open(
        to_dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    fs::CopyContents(from.get(), to.get());
  } else if (::mknodat(to_dir, to_name.c_str(), TypeBits(info->type) | 0600,
                       makedev(info->rdev_major, info->rdev_minor)) != 0) {
    throw ErrnoError("mknod", to_name, errno);
  }
  ApplyMetadata(to_dir, to_name, *info, tree.Xattrs(path));
}

void LinkTree(int from_dir, const std::string& from, int to_dir,
              const std::string& to) {
  const UniqueFd source =
      fs::Open(from_dir, from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  fs::MakeDir(to_dir, to, 0700);
  const UniqueFd target =
      fs::Open(to_dir, to, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  for (const std::string& name : fs::ListDir(source.get())) {
    const auto st = fs::LstatIfExists(source.get(), name);
    if (!st) throw ErrnoError("lstat", name, ENOENT);
    if (S_ISDIR(st->st_mode)) {
      LinkTree(source.get(), name, target.get(), name);
    } else if (::linkat(source.get(), name.c_str(), target.get(), name.c_str(),
                        0) != 0) {
      if (errno != EMLINK) throw ErrnoError("link", name, errno);
      CopyOver(source.get(), name, target.get());
    }
  }
  const Xattrs xattrs = fs::ListXattrs(from_dir, from);
  const FileInfo info = ToFileInfo(fs::Fstat(source.get()));
  for (const auto& [key, value] : xattrs) {
    if (IsPrivateXattr(key)) fs::SetXattr(to_dir, to, key, value);
  }
  ApplyMetadata(to_dir, to, info, OwnXattrs(from_dir, from));
}

}  // namespace imgbuild::store
