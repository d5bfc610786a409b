#include "store/upper_normalizer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <unordered_map>

#include "imgbuild/layer/diff.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::store {
namespace {

std::string Below(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

class Normalizer {
 public:
  Normalizer(std::unordered_map<std::string, int64_t> times,
             std::string opaque_xattr)
      : times_(std::move(times)), opaque_xattr_(std::move(opaque_xattr)) {}

  void Walk(int dir, const std::string& path) {
    for (const std::string& name : fs::ListDir(dir)) {
      const auto st = fs::LstatIfExists(dir, name);
      if (!st) continue;
      const bool whiteout =
          S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
      const std::string entry =
          Below(path, whiteout ? layer::kWhiteoutPrefix + name : name);
      const auto time = times_.find(entry);
      if (time == times_.end()) {
        fs::RemoveTree(dir, name);
        continue;
      }
      if (S_ISDIR(st->st_mode)) WalkInto(dir, name, entry);
      if (!whiteout) SetTime(dir, name, time->second);
    }
  }

 private:
  void WalkInto(int dir, const std::string& name, const std::string& path) {
    const UniqueFd fd =
        fs::Open(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!times_.contains(Below(path, layer::kOpaqueName))) {
      ::fremovexattr(fd.get(), opaque_xattr_.c_str());
    }
    Walk(fd.get(), path);
  }

  static void SetTime(int dir, const std::string& name, int64_t seconds) {
    const std::array<struct ::timespec, 2> times = {{
        {.tv_sec = 0, .tv_nsec = UTIME_OMIT},
        {.tv_sec = seconds, .tv_nsec = 0},
    }};
    if (::utimensat(dir, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) !=
        0) {
      throw ErrnoError("set times", name, errno);
    }
  }

  std::unordered_map<std::string, int64_t> times_;  // by path in the layer
  std::string opaque_xattr_;
};

}  // namespace

void NormalizeUpper(int upper_fd, const FileTree& lower,
                    const std::string& opaque_xattr, int64_t epoch) {
  std::unordered_map<std::string, int64_t> times;
  layer::DiffOptions options;
  options.epoch = epoch;
  options.opaque_xattr = opaque_xattr;
  layer::EmitUpper(upper_fd, lower, options,
                   [&times](const layer::Entry& entry, Reader*) {
                     times.emplace(entry.path, entry.mtime_s);
                   });
  Normalizer(std::move(times), opaque_xattr).Walk(upper_fd, "");
}

}  // namespace imgbuild::store
