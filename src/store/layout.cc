#include "store/layout.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::store {
namespace {

constexpr char kLayoutFile[] = "oci-layout";
constexpr char kLayoutText[] = "{\"imageLayoutVersion\":\"1.0.0\"}\n";

constexpr std::array<const char*, 8> kDirectories = {
    "blobs", "layers", "unsynced",   "notes",
    "stat",  "mounts", "containers", "tmp"};

// What a first start that was interrupted, or goes on beside this one, has
// made; and what a mount point has.
bool IsKnownName(std::string_view name) {
  constexpr std::array<std::string_view, 7> kFiles = {
      kLayoutFile,  "lease",   "layer-locks", "layer-sizes",
      "lost+found", "meta.db", "mounted"};
  return std::ranges::find(kDirectories, name) != kDirectories.end() ||
         std::ranges::find(kFiles, name) != kFiles.end() ||
         name.starts_with("meta.db-") || name.starts_with(".oci-layout.");
}

// Opens `name`, which is made first if need be.
UniqueFd EnsureDir(int dirfd, const char* name) {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd fd(::openat(dirfd, name, kFlags));
  if (fd) return fd;
  if (errno == ENOENT && ::mkdirat(dirfd, name, 0700) != 0 && errno != EEXIST) {
    throw ErrnoError("create directory", fs::PathOfFd(dirfd) + "/" + name,
                     errno);
  }
  fd.reset(::openat(dirfd, name, kFlags));
  if (!fd) {
    throw ErrnoError("open", fs::PathOfFd(dirfd) + "/" + name, errno);
  }
  return fd;
}

void RefuseForeign(int root_fd, const std::string& root) {
  for (const std::string& name : fs::ListDir(root_fd)) {
    if (IsKnownName(name)) continue;
    throw Error(ErrorCode::kHost,
                fmt::format("open store {}: not a store: it has {} in it",
                            Quoted(root), Quoted(name)))
        .WithHint("give an empty directory, or one that imgbuild has made");
  }
}

void CheckOwnerAndMode(int root_fd, const std::string& root) {
  const struct ::stat st = fs::Fstat(root_fd);
  if (st.st_uid != ::geteuid()) {
    throw Error(ErrorCode::kHost,
                fmt::format("open store {}: it belongs to user {}, not to {}",
                            Quoted(root), st.st_uid, ::geteuid()))
        .WithHint("choose another directory with --root or IMGBUILD_ROOT");
  }
  // Layers have set-user-id programs in them: nobody else may get there.
  if ((st.st_mode & 077) != 0 && ::fchmod(root_fd, 0700) != 0) {
    throw ErrnoError("chmod", root, errno);
  }
}

}  // namespace

Layout::Layout(const std::string& root) {
  try {
    fs::MakeDirs(AT_FDCWD, root, 0700);
    root_fd_ = fs::OpenDir(AT_FDCWD, root);
  } catch (Error& error) {
    error.While("opening the store");
    throw;
  }
  root_ = fs::PathOfFd(root_fd_.get());
  const bool complete =
      ::faccessat(root_fd_.get(), kLayoutFile, F_OK, 0) == 0 &&
      ::faccessat(root_fd_.get(), "layers", F_OK, 0) == 0;
  // First of all: the mode of a directory that is no store is not ours.
  if (!complete) RefuseForeign(root_fd_.get(), root_);
  CheckOwnerAndMode(root_fd_.get(), root_);
  if (!complete) {
    for (const char* name : kDirectories) EnsureDir(root_fd_.get(), name);
  }
  const UniqueFd blobs = EnsureDir(root_fd_.get(), "blobs");
  sha256_ = EnsureDir(blobs.get(), "sha256");
  sha512_ = EnsureDir(blobs.get(), "sha512");
  layers_ = EnsureDir(root_fd_.get(), "layers");
  tmp_ = EnsureDir(root_fd_.get(), "tmp");
  // Last: it says that the rest is there.
  if (!complete) {
    fs::WriteFileAtomic(root_fd_.get(), kLayoutFile, kLayoutText);
  }
}

Layout::~Layout() {
  // Whatever is still in there belongs to an object that outlives the store
  // (a bug) or could not be removed; then the next Sweep() takes it.
  if (own_tmp_) {
    ::unlinkat(tmp_.get(), own_tmp_name_.c_str(), AT_REMOVEDIR);
  }
}

void Layout::MakeOwnTmp() {
  for (;;) {
    fs::TempDir dir(tmp_.get(), "p-");
    UniqueFd fd = fs::OpenDir(tmp_.get(), dir.name());
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      // A sweeper has it between its creation and our lock.
      if (errno == EWOULDBLOCK || errno == EINTR) continue;
      throw ErrnoError("lock", dir.path(), errno);
    }
    const auto now = fs::LstatIfExists(tmp_.get(), dir.name());
    if (!now || now->st_ino != fs::Fstat(fd.get()).st_ino) continue;
    own_tmp_name_ = dir.Release();
    own_tmp_ = std::move(fd);
    return;
  }
}

int Layout::own_tmp() {
  const std::lock_guard lock(mutex_);
  if (!own_tmp_) MakeOwnTmp();
  return own_tmp_.get();
}

std::string Layout::own_tmp_path() {
  own_tmp();
  return PathTo("tmp/" + own_tmp_name_);
}

std::string Layout::NextName(const char* prefix) {
  return fmt::format("{}{}", prefix, next_name_.fetch_add(1));
}

}  // namespace imgbuild::store
