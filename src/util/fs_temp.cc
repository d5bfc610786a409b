// Owners of fs.h: temporary directories and file locks.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "fs_internal.h"

namespace imgbuild::fs {
namespace {

UniqueFd Duplicate(int fd) {
  if (fd == AT_FDCWD) return Open(AT_FDCWD, ".", O_PATH | O_DIRECTORY);
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) throw ErrnoError("dup", PathOfFd(fd), errno);
  return copy;
}

// Takes the lock; an empty UniqueFd when it is held elsewhere and `flags` has
// LOCK_NB.
UniqueFd Lock(int dirfd, const std::string& path, int flags) {
  for (;;) {
    UniqueFd fd = Open(dirfd, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    while (::flock(fd.get(), flags) != 0) {
      if (errno == EWOULDBLOCK) return UniqueFd();
      if (errno != EINTR) throw ErrnoError("lock", path, errno);
    }
    // The holder before us may have removed the file: then this lock is on
    // something that nobody else will ever open.
    const auto now = LstatIfExists(dirfd, path);
    const struct ::stat ours = Fstat(fd.get());
    if (now && now->st_ino == ours.st_ino && now->st_dev == ours.st_dev) {
      return fd;
    }
  }
}

int FlockMode(FileLock::Mode mode) {
  return mode == FileLock::Mode::kShared ? LOCK_SH : LOCK_EX;
}

}  // namespace

std::string RandomName() {
  constexpr char kAlphabet[] = "abcdefghijklmnopqrstuvwxyz234567";
  std::array<unsigned char, 16> bytes;
  // At most 256 bytes are never interrupted nor cut short.
  if (::getrandom(bytes.data(), bytes.size(), 0) !=
      static_cast<ssize_t>(bytes.size())) {
    throw ErrnoError("getrandom", "", errno);
  }
  std::string name;
  for (const unsigned char byte : bytes) name += kAlphabet[byte & 31];
  return name;
}

UniqueFd CreateUnique(int dirfd, const std::string& prefix, std::string* name) {
  for (;;) {
    *name = prefix + RandomName();
    UniqueFd fd(::openat(dirfd, name->c_str(),
                         O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (fd) return fd;
    if (errno != EEXIST && errno != EINTR) {
      throw ErrnoError("create", *name, errno);
    }
  }
}

TempDir::TempDir(int parent_fd, const std::string& prefix)
    : parent_(Duplicate(parent_fd)) {
  do {
    name_ = prefix + RandomName();
  } while (::mkdirat(parent_.get(), name_.c_str(), 0700) != 0 &&
           errno == EEXIST);
  // mkdirat may have failed otherwise: then this open says so less well.
  dir_.reset(::openat(parent_.get(), name_.c_str(),
                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!dir_) throw ErrnoError("create directory", name_, errno);
}

TempDir TempDir::InTmp(const std::string& prefix) {
  const char* tmp = std::getenv("TMPDIR");
  const std::string parent = tmp != nullptr && *tmp != '\0' ? tmp : "/tmp";
  const UniqueFd dir = Open(AT_FDCWD, parent, O_PATH | O_DIRECTORY);
  return TempDir(dir.get(), prefix);
}

TempDir::TempDir(TempDir&& other) noexcept
    : parent_(std::move(other.parent_)),
      dir_(std::move(other.dir_)),
      name_(std::move(other.name_)) {}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  if (this != &other) {
    Discard();
    parent_ = std::move(other.parent_);
    dir_ = std::move(other.dir_);
    name_ = std::move(other.name_);
  }
  return *this;
}

TempDir::~TempDir() { Discard(); }

void TempDir::Discard() noexcept {
  if (!parent_) return;
  try {
    RemoveTree(parent_.get(), name_);
  } catch (...) {
    // A left-over is swept later; a destructor has nobody to tell.
  }
  parent_.reset();
}

std::string TempDir::path() const { return PathOfFd(dir_.get()); }

std::string TempDir::Release() {
  parent_.reset();
  return name_;
}

FileLock::FileLock(int dirfd, const std::string& path, Mode mode)
    : fd_(Lock(dirfd, path, FlockMode(mode))) {}

std::optional<FileLock> FileLock::Try(int dirfd, const std::string& path,
                                      Mode mode) {
  UniqueFd fd = Lock(dirfd, path, FlockMode(mode) | LOCK_NB);
  if (!fd) return std::nullopt;
  return FileLock(std::move(fd));
}

}  // namespace imgbuild::fs
