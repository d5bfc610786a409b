#include "context/digest_files.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::context {
namespace {

constexpr size_t kBuffer = size_t{256} << 10;

bool SameTimes(const FileInfo& a, const FileInfo& b) {
  return a.mtime_s == b.mtime_s && a.mtime_ns == b.mtime_ns &&
         a.ctime_s == b.ctime_s && a.ctime_ns == b.ctime_ns;
}

Error Changed(const std::string& path) {
  return Error(ErrorCode::kHost,
               "read " + Quoted(path) + ": the file changed while it was read")
      .WithHint("do not write to the build context during a build");
}

}  // namespace

FileDigester::FileDigester(const CancelToken& cancel)
    : cancel_(cancel), buffer_(kBuffer) {}

FileDigester::Result FileDigester::Digest(int fd, uint64_t size,
                                          const std::string& path) {
  const FileInfo before = ToFileInfo(fs::Fstat(fd));
  if (before.type != FileType::kRegular || before.size != size) {
    throw Changed(path);
  }
  oci::Hasher hasher;
  uint64_t left = size;
  while (left > 0) {
    cancel_.Check();
    const size_t want =
        static_cast<size_t>(std::min<uint64_t>(left, buffer_.size()));
    const ssize_t n = ::read(fd, buffer_.data(), want);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw ErrnoError("read", path, errno);
    if (n == 0) throw Changed(path);
    hasher.Write(std::span(buffer_).first(static_cast<size_t>(n)));
    left -= static_cast<uint64_t>(n);
  }
  // Asked again instead of reading on for the end: it tells growth too.
  const FileInfo after = ToFileInfo(fs::Fstat(fd));
  if (after.size != size) throw Changed(path);
  // Their change moves ctime, so the answer keeps as long as the digest does.
  const bool has_xattrs = ::flistxattr(fd, nullptr, 0) > 0;
  return {hasher.Finish(), has_xattrs, after, SameTimes(before, after)};
}

int64_t WallClock() {
  struct timespec now = {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace imgbuild::context
