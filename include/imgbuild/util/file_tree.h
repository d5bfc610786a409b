// A read-only tree of files: a build context, a stage's root file system, an
// image. COPY, ADD, user look-ups, `cp` and `diff` read through it and know
// nothing of what lies below (a directory, overlay layers, memory).
#ifndef IMGBUILD_UTIL_FILE_TREE_H_
#define IMGBUILD_UTIL_FILE_TREE_H_

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/unique_fd.h"

namespace imgbuild {

enum class FileType : uint8_t {
  kRegular,
  kDirectory,
  kSymlink,
  kCharDevice,
  kBlockDevice,
  kFifo,
  kSocket,
};

struct FileInfo {
  FileType type = FileType::kRegular;
  uint32_t mode = 0;  // permission bits, 07777
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint32_t nlink = 1;
  uint64_t size = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  int64_t ctime_s = 0;
  uint32_t ctime_ns = 0;
  uint64_t device = 0;  // (device, inode) is one file: hard links share it
  uint64_t inode = 0;
  uint32_t rdev_major = 0;
  uint32_t rdev_minor = 0;
};

// Paths are relative to the root, clean, without a leading slash; "" is the
// root. No function follows a link, in any component: a path through a link
// is absent (use ResolveInTree first). Thread-safe.
class FileTree {
 public:
  virtual ~FileTree() = default;
  virtual std::optional<FileInfo> Lstat(const std::string& path) const = 0;
  // REQUIRES: a symlink. The target verbatim.
  virtual std::string ReadLink(const std::string& path) const = 0;
  // REQUIRES: a directory. Names, sorted bytewise.
  virtual std::vector<std::string> List(const std::string& path) const = 0;
  // REQUIRES: a regular file. Opened read-only.
  virtual UniqueFd Open(const std::string& path) const = 0;
  virtual std::map<std::string, std::string> Xattrs(
      const std::string& path) const = 0;
};

// Follows the links of `path` as the kernel would after chroot: ".." stops at
// the root, absolute targets start there. With follow_last the last component
// is followed too. Components behind a missing one are kept as they are, so
// the result may be absent. Throws Error(kHost) "too many levels of symbolic
// links" after 255.
std::string ResolveInTree(const FileTree& tree, std::string_view path,
                          bool follow_last);

// A small regular file (after links), nullopt when absent; Error above `cap`
// or when it is not a regular file.
std::optional<std::string> ReadFromTree(const FileTree& tree,
                                        std::string_view path, size_t cap);

// openat2 with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS: `path` never leads out
// of root_fd. With follow_links false no component may be a link (ELOOP; with
// O_PATH | O_NOFOLLOW a link in the last place is opened itself). An empty
// UniqueFd with errno set on failure. Paths of any length.
UniqueFd TryOpenBeneath(int root_fd, std::string_view path, int flags,
                        bool follow_links = false);

// A plain directory. The descriptor is duplicated.
class DirTree : public FileTree {
 public:
  explicit DirTree(int dir_fd);
  std::optional<FileInfo> Lstat(const std::string& path) const override;
  std::string ReadLink(const std::string& path) const override;
  std::vector<std::string> List(const std::string& path) const override;
  UniqueFd Open(const std::string& path) const override;
  std::map<std::string, std::string> Xattrs(
      const std::string& path) const override;

 private:
  UniqueFd dir_;
};

// No files at all: FROM scratch.
class EmptyTree : public FileTree {
 public:
  std::optional<FileInfo> Lstat(const std::string& path) const override;
  std::string ReadLink(const std::string&) const override { return ""; }
  std::vector<std::string> List(const std::string&) const override {
    return {};
  }
  UniqueFd Open(const std::string&) const override { return {}; }
  std::map<std::string, std::string> Xattrs(const std::string&) const override {
    return {};
  }
};

// From stat(2)'s values.
FileInfo ToFileInfo(const struct ::stat& st);

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_FILE_TREE_H_
