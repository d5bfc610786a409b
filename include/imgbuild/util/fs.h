// Files, always relative to a directory descriptor. Code that touches a root
// file system, a build context or an unpacked layer uses these and nothing
// else: a path is resolved once, by the kernel, inside the root, so a link
// swapped in between leads nowhere new (openat2, RESOLVE_IN_ROOT).
//
// `dirfd` may be AT_FDCWD with an absolute path for the store's own files.
// Every descriptor is O_CLOEXEC. All throw Error(kHost) unless said otherwise.
#ifndef IMGBUILD_UTIL_FS_H_
#define IMGBUILD_UTIL_FS_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/io.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::fs {

// openat2 with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `path` and every link
// on the way resolve as after chroot(root_fd). Returns an empty UniqueFd with
// errno set on failure (callers differ in what absence means).
UniqueFd TryOpenInRoot(int root_fd, const std::string& path, int flags,
                       mode_t mode = 0);
// The same, throwing.
UniqueFd OpenInRoot(int root_fd, const std::string& path, int flags,
                    mode_t mode = 0);
// Opens the directory that holds `path`'s last component, resolved in root,
// and returns it with that component ("." when path is the root itself).
struct ParentOf {
  UniqueFd dir;
  std::string name;
};
// nullopt when a parent is missing or is not a directory.
std::optional<ParentOf> TryOpenParentInRoot(int root_fd,
                                            const std::string& path);
// Creates missing parents (0755, owner of the caller) on the way, also behind
// a link that dangles. A path that ends in "/.", "/.." or is the root is its
// own parent: the name is ".".
ParentOf MakeParentInRoot(int root_fd, const std::string& path);

UniqueFd Open(int dirfd, const std::string& path, int flags, mode_t mode = 0);
UniqueFd OpenDir(int dirfd, const std::string& path);
// Empty on ENOENT/ENOTDIR, throws on anything else.
UniqueFd OpenIfExists(int dirfd, const std::string& path, int flags);

std::optional<struct ::stat> LstatIfExists(int dirfd, const std::string& path);
struct ::stat Fstat(int fd);
std::string ReadLink(int dirfd, const std::string& path);

// Names without "." and "..", sorted bytewise.
std::vector<std::string> ListDir(int dirfd);

void MakeDir(int dirfd, const std::string& name, mode_t mode);
// mkdir -p; existing directories stay as they are.
void MakeDirs(int dirfd, const std::string& path, mode_t mode);
// rm -rf without following links and without crossing mounts (a mount below,
// bind mounts too, is an Error); absent is fine. Without root, directories of
// the caller that he may not write are made writable first.
void RemoveTree(int dirfd, const std::string& name);
void Rename(int from_dir, const std::string& from, int to_dir,
            const std::string& to);

// Regular file only (O_NOFOLLOW, O_NONBLOCK, S_ISREG), at most `cap` bytes:
// a FIFO, a device or a huge file planted in an image is an Error, not a hang.
std::string ReadFile(int dirfd, const std::string& path, size_t cap);
std::optional<std::string> ReadFileIfExists(int dirfd, const std::string& path,
                                            size_t cap);
std::string ReadFd(int fd, size_t cap, std::string_view name);
void WriteAll(int fd, Bytes bytes, std::string_view name);
// Write to a temporary name beside it, fsync, rename, fsync the directory.
void WriteFileAtomic(int dirfd, const std::string& path, std::string_view text,
                     mode_t mode = 0644);

// Extended attributes of an open fd (`name` empty; O_PATH will do) or, for what
// cannot be opened (links, devices), of `name` in `dirfd` without following.
// ENOTSUP is an empty map.
std::map<std::string, std::string> ListXattrs(int dirfd,
                                              const std::string& name);
// False when the file system does not take it (ENOTSUP), or not from us or not
// on such a file (EPERM: "trusted.*" without root, "user.*" on a link).
bool SetXattr(int dirfd, const std::string& name, const std::string& key,
              std::string_view value);

// Bytes copied from the current offset of `from` to `to` until its end, by
// reflink or copy_file_range where the file systems allow, else by read/write.
uint64_t CopyContents(int from, int to);

// A directory that is removed with everything in it unless released.
class TempDir {
 public:
  // Creates PREFIX + random in `parent` with mode 0700.
  TempDir(int parent_fd, const std::string& prefix);
  // In $TMPDIR or /tmp.
  static TempDir InTmp(const std::string& prefix = "imgbuild-");
  TempDir(TempDir&&) noexcept;
  TempDir& operator=(TempDir&&) noexcept;
  ~TempDir();

  int fd() const { return dir_.get(); }
  const std::string& name() const { return name_; }
  // Absolute path.
  std::string path() const;
  // The directory stays; its name is returned.
  std::string Release();

 private:
  TempDir() = default;
  void Discard() noexcept;
  UniqueFd parent_;
  UniqueFd dir_;
  std::string name_;
};

// An advisory lock (flock) on a file that is created if need be. A dead
// process holds nothing.
class FileLock {
 public:
  enum class Mode { kShared, kExclusive };
  // Blocks until it has the lock.
  FileLock(int dirfd, const std::string& path, Mode mode);
  // nullopt when somebody else holds it.
  static std::optional<FileLock> Try(int dirfd, const std::string& path,
                                     Mode mode);

 private:
  explicit FileLock(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// "/proc/self/fd/N" resolved: for messages and for programs that need a path.
std::string PathOfFd(int fd);
// Lexical clean-up as Go's path.Clean: "a//b/./c/.." -> "a/b"; "" -> ".".
std::string CleanPath(std::string_view path);
// CleanPath("/" + path) without the leading slash: what a path inside a root
// is called everywhere here ("" is the root itself). ".." cannot leave.
std::string CleanRelative(std::string_view path);
// "a/b/c" -> "a/b"; "" for a name without a slash. Purely lexical.
std::string ParentPath(std::string_view path);
// What stands behind the last slash: "a/b" -> "b", "a" -> "a".
std::string BaseName(std::string_view path);

}  // namespace imgbuild::fs

#endif  // IMGBUILD_UTIL_FS_H_
