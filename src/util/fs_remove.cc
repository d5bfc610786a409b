// RemoveTree. The tree may be hostile: links are not followed, mounts are not
// entered, depth costs neither stack nor descriptors.
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "fs_internal.h"

namespace imgbuild::fs {
namespace {

// One descriptor and one stack frame a level, up to here; deeper directories
// are first moved to the top of the tree that is being removed.
constexpr int kMaxDepth = 32;

// Opens a directory without following a link or crossing a mount: by path, a
// mounted directory (a bind mount, too) is EXDEV.
int OpenNoCross(int dirfd, const char* name, int flags) {
  struct open_how how = {};
  how.flags =
      static_cast<uint64_t>(flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
  for (;;) {
    const long fd = ::syscall(SYS_openat2, dirfd, name, &how, sizeof how);
    if (fd >= 0 || (errno != EINTR && errno != EAGAIN)) {
      return static_cast<int>(fd);
    }
  }
}

// For listing and removing; without root that takes u+rwx, which the owner may
// give himself. Empty with errno set when it cannot be opened.
UniqueFd OpenForRemoval(int dirfd, const char* name) {
  UniqueFd fd(OpenNoCross(dirfd, name, O_RDONLY));
  if (!fd && errno == EACCES) {
    const UniqueFd path(OpenNoCross(dirfd, name, O_PATH));
    if (!path) return UniqueFd();
    // fchmod() does not take O_PATH descriptors; this link is not followed
    // any further than to the very directory that was opened.
    const std::string proc = "/proc/self/fd/" + std::to_string(path.get());
    if (::chmod(proc.c_str(), 0700) != 0) return UniqueFd();
    fd.reset(OpenNoCross(dirfd, name, O_RDONLY));
  }
  if (fd) {
    struct ::stat info;
    if (::fstat(fd.get(), &info) == 0 && (info.st_mode & 0700) != 0700) {
      // If it fails, so will the removal, and that is what is reported.
      [[maybe_unused]] const int ignored = ::fchmod(fd.get(), 0700);
    }
  }
  return fd;
}

struct Entry {
  std::string name;
  bool directory;
};

std::vector<Entry> Entries(int fd) {
  struct Close {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  const int copy =
      ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  const std::unique_ptr<DIR, Close> dir(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!dir) {
    const int error_number = errno;
    if (copy >= 0) ::close(copy);
    throw ErrnoError("open", PathOfFd(fd), error_number);
  }
  std::vector<Entry> entries;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    entries.push_back({std::string(name), entry->d_type == DT_DIR});
  }
  if (errno != 0) throw ErrnoError("read directory", PathOfFd(fd), errno);
  return entries;
}

class Remover {
 public:
  // Removes what is called `name` in `dirfd`, whatever it is.
  void Remove(int dirfd, const std::string& name) {
    if (!Unlink(dirfd, name)) RemoveDirectory(dirfd, name, 0);
  }

 private:
  // False when `name` is a directory.
  bool Unlink(int dirfd, const std::string& name) {
    if (::unlinkat(dirfd, name.c_str(), 0) == 0 || errno == ENOENT) return true;
    const int error_number = errno;
    // Linux says EISDIR; EPERM is POSIX's word for it and also an immutable
    // file's, so look.
    if (error_number == EISDIR) return false;
    const auto info = LstatIfExists(dirfd, name);
    if (info && S_ISDIR(info->st_mode)) return false;
    throw ErrnoError("remove", Where(dirfd, name), error_number);
  }

  void RemoveDirectory(int dirfd, const std::string& name, int depth) {
    {
      const UniqueFd dir = OpenForRemoval(dirfd, name.c_str());
      if (!dir) {
        if (errno == ENOENT) return;
        if (errno == EXDEV) {
          throw Error(ErrorCode::kHost, "remove \"" + Where(dirfd, name) +
                                            "\": something is mounted there");
        }
        throw ErrnoError("remove", Where(dirfd, name), errno);
      }
      if (depth == 0) top_ = dir.get();
      Empty(dir.get(), depth);
      // Directories from too far down have been moved up here meanwhile.
      while (depth == 0 && std::exchange(moved_, false)) Empty(dir.get(), 0);
    }
    if (::unlinkat(dirfd, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      throw ErrnoError("remove", Where(dirfd, name), errno);
    }
  }

  void Empty(int dir, int depth) {
    for (const Entry& entry : Entries(dir)) {
      if (!entry.directory && Unlink(dir, entry.name)) continue;
      if (depth >= kMaxDepth && MoveUp(dir, entry.name)) continue;
      RemoveDirectory(dir, entry.name, depth + 1);
    }
  }

  // Moving a directory writes its "..": it has to be writable itself.
  bool MoveUp(int dir, const std::string& name) {
    const UniqueFd writable = OpenForRemoval(dir, name.c_str());
    if (!writable) return false;
    const std::string to = ".removing-" + RandomName();
    if (::renameat(dir, name.c_str(), top_, to.c_str()) != 0) return false;
    moved_ = true;
    return true;
  }

  static std::string Where(int dirfd, const std::string& name) {
    return name.starts_with('/') ? name : PathOfFd(dirfd) + "/" + name;
  }

  int top_ = -1;
  bool moved_ = false;
};

}  // namespace

void RemoveTree(int dirfd, const std::string& name) {
  // The part before the last component is the caller's business, and may go
  // through links and mounts; from there on nothing does.
  const size_t slash = name.find_last_not_of('/') == name.npos
                           ? name.npos
                           : name.rfind('/', name.find_last_not_of('/'));
  std::string last = slash == name.npos ? name : name.substr(slash + 1);
  while (!last.empty() && last.back() == '/') last.pop_back();
  if (last.empty() || last == "." || last == "..") {
    throw Error(ErrorCode::kHost,
                "remove \"" + name + "\": not the name of an entry");
  }
  if (slash == name.npos) return Remover().Remove(dirfd, last);
  const UniqueFd parent = OpenIfExists(
      dirfd, slash == 0 ? "/" : name.substr(0, slash), O_PATH | O_DIRECTORY);
  if (parent) Remover().Remove(parent.get(), last);
}

}  // namespace imgbuild::fs
