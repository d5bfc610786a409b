// The calls of fs.h that read and write: contents and extended attributes.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "fs_internal.h"

namespace imgbuild::fs {
namespace {

constexpr size_t kCopyChunk = 256 * 1024;
// copy_file_range takes a size, and this many bytes do not keep a signal
// waiting for long.
constexpr size_t kCopyRangeChunk = 64 * 1024 * 1024;

Error TooLarge(std::string_view name, size_t cap) {
  return Error(ErrorCode::kHost, "read " + Quoted(name) + ": more than " +
                                     std::to_string(cap) + " bytes");
}

// There are no *at() calls for extended attributes (before Linux 6.13): the
// descriptor is named through /proc. A name's last component is not followed;
// a bare descriptor is a link of /proc that must be.
struct XattrPath {
  XattrPath(int dirfd, const std::string& name) : follow(name.empty()) {
    if (dirfd == AT_FDCWD) {
      path = follow ? "." : name;
    } else {
      path = "/proc/self/fd/" + std::to_string(dirfd);
      if (!follow) path += "/" + name;
    }
  }
  std::string path;
  bool follow;
};

// The value of one attribute; nullopt when it is gone or may not be read.
std::optional<std::string> GetXattr(const XattrPath& where,
                                    const std::string& key) {
  const auto get = where.follow ? ::getxattr : ::lgetxattr;
  for (std::string value(256, '\0');;) {
    const ssize_t n =
        get(where.path.c_str(), key.c_str(), value.data(), value.size());
    if (n >= 0) {
      value.resize(static_cast<size_t>(n));
      return value;
    }
    if (errno == ENODATA || errno == ENOTSUP) return std::nullopt;
    if (errno != ERANGE) throw ErrnoError("getxattr " + key, where.path, errno);
    value.resize(value.size() * 4);  // the kernel's limit is 64 KiB
  }
}

void CopyByReading(int from, int to, uint64_t* total) {
  FdReader reader(from, "source file");
  FdWriter writer(to, "copied file");
  std::vector<std::byte> buffer(kCopyChunk);
  while (const size_t n = reader.Read(buffer)) {
    writer.Write(Bytes(buffer).first(n));
    *total += n;
  }
}

}  // namespace

std::string ReadFd(int fd, size_t cap, std::string_view name) {
  // The size is a hint (0 for files of /proc); what is read decides.
  const struct ::stat info = Fstat(fd);
  const size_t hint =
      S_ISREG(info.st_mode) ? static_cast<size_t>(info.st_size) : 0;
  if (hint > cap) throw TooLarge(name, cap);
  std::string text;
  // With room for the read that finds the end: growing would take it twice.
  constexpr size_t kChunk = 64 * 1024;
  text.reserve(hint + 1 + kChunk);
  FdReader reader(fd, std::string(name));
  for (size_t chunk = hint + 1;; chunk = kChunk) {
    const size_t old = text.size();
    text.resize(old + chunk);
    const size_t n = reader.Read(
        std::as_writable_bytes(std::span(text)).subspan(old, chunk));
    text.resize(old + n);
    if (text.size() > cap) throw TooLarge(name, cap);
    if (n == 0) return text;
  }
}

std::optional<std::string> ReadFileIfExists(int dirfd, const std::string& path,
                                            size_t cap) {
  // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
  const UniqueFd fd =
      OpenIfExists(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (!fd) return std::nullopt;
  if (!S_ISREG(Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kHost,
                "read " + Quoted(path) + ": not a regular file");
  }
  return ReadFd(fd.get(), cap, path);
}

std::string ReadFile(int dirfd, const std::string& path, size_t cap) {
  auto text = ReadFileIfExists(dirfd, path, cap);
  if (!text) throw ErrnoError("open", path, ENOENT);
  return std::move(*text);
}

void WriteAll(int fd, Bytes bytes, std::string_view name) {
  FdWriter(fd, std::string(name)).Write(bytes);
}

void WriteFileAtomic(int dirfd, const std::string& path, std::string_view text,
                     mode_t mode) {
  const size_t slash = path.rfind('/');
  const std::string parent = slash == path.npos ? "."
                             : slash == 0       ? "/"
                                                : path.substr(0, slash);
  const std::string name = slash == path.npos ? path : path.substr(slash + 1);
  const UniqueFd dir = OpenDir(dirfd, parent);
  std::string temp_name;
  const UniqueFd file = CreateUnique(dir.get(), "." + name + ".", &temp_name);
  try {
    WriteAll(file.get(), AsBytes(text), path);
    // Exactly `mode`, whatever the umask is.
    if (::fchmod(file.get(), mode) != 0) throw ErrnoError("chmod", path, errno);
    if (::fsync(file.get()) != 0) throw ErrnoError("fsync", path, errno);
    Rename(dir.get(), temp_name, dir.get(), name);
  } catch (...) {
    ::unlinkat(dir.get(), temp_name.c_str(), 0);
    throw;
  }
  if (::fsync(dir.get()) != 0) throw ErrnoError("fsync", parent, errno);
}

std::map<std::string, std::string> ListXattrs(int dirfd,
                                              const std::string& name) {
  const XattrPath where(dirfd, name);
  const auto list = where.follow ? ::listxattr : ::llistxattr;
  std::string keys(1024, '\0');
  for (;;) {
    const ssize_t n = list(where.path.c_str(), keys.data(), keys.size());
    if (n >= 0) {
      keys.resize(static_cast<size_t>(n));
      break;
    }
    if (errno == ENOTSUP) return {};
    if (errno != ERANGE) throw ErrnoError("listxattr", where.path, errno);
    keys.resize(keys.size() * 4);
  }
  std::map<std::string, std::string> found;
  for (size_t begin = 0; begin < keys.size();) {
    const std::string key = keys.c_str() + begin;
    begin += key.size() + 1;
    if (auto value = GetXattr(where, key)) found[key] = std::move(*value);
  }
  return found;
}

bool SetXattr(int dirfd, const std::string& name, const std::string& key,
              std::string_view value) {
  const XattrPath where(dirfd, name);
  const auto set = where.follow ? ::setxattr : ::lsetxattr;
  if (set(where.path.c_str(), key.c_str(), value.data(), value.size(), 0) ==
      0) {
    return true;
  }
  if (errno == ENOTSUP || errno == EPERM) return false;
  throw ErrnoError("setxattr " + key, where.path, errno);
}

uint64_t CopyContents(int from, int to) {
  uint64_t total = 0;
  for (;;) {
    // Shares the blocks where the file system can, else copies in the kernel.
    const ssize_t n =
        ::copy_file_range(from, nullptr, to, nullptr, kCopyRangeChunk, 0);
    if (n > 0) {
      total += static_cast<uint64_t>(n);
      continue;
    }
    // 0 is the end, but for the files of /proc and the like it is a lie.
    if (n == 0 && total > 0) return total;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)) {
      throw ErrnoError("write", PathOfFd(to), errno);
    }
    // Anything else only says that this way is closed; if reading or writing
    // is what fails, read() or write() will say so again.
    CopyByReading(from, to, &total);
    return total;
  }
}

}  // namespace imgbuild::fs
