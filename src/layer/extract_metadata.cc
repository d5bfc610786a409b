#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "layer/extractor.h"

namespace imgbuild::layer {
namespace {

constexpr std::string_view kCapability = "security.capability";

struct Times {
  explicit Times(const Entry& entry)
      : values{{0, UTIME_OMIT},
               {entry.mtime_s, static_cast<long>(entry.mtime_ns)}} {}
  timespec values[2];
};

}  // namespace

ExtractOptions::Owner Extractor::OwnerOf(const Entry& entry) const {
  return options_.owner.value_or(ExtractOptions::Owner{entry.uid, entry.gid});
}

void Extractor::CheckOwner(int result, const std::string& path) const {
  if (result == 0) return;
  // EINVAL: the id has no place in this user namespace.
  if (options_.tolerate_ownership && (errno == EPERM || errno == EINVAL)) {
    return;
  }
  throw ErrnoError("chown", path, errno);
}

void Extractor::SetXattrs(const Entry& entry, const SetAttribute& set) const {
  for (const auto& [key, value] : entry.xattrs) {
    // These steer overlayfs: an archive that set them could redirect a
    // directory or hide a name in ways that no tool that looks at it sees.
    if (key.starts_with("trusted.overlay.") ||
        key.starts_with("user.overlay.")) {
      continue;
    }
    if (set(key, value)) continue;
    if (key == kCapability && !options_.tolerate_ownership) {
      throw Error(
          ErrnoError("setxattr " + key, entry.path, errno)
              .WithHint(
                  "the program would not have the rights it was built with"));
    }
  }
}

// Owner first (it clears set-uid bits and capabilities), then attributes, then
// the mode (0000 must not get in the way), the time last. What is right already
// is left alone: looking costs a tenth of changing an inode.
void Extractor::SetMetadata(const Entry& entry, int fd) {
  const struct ::stat now = fs::Fstat(fd);
  const ExtractOptions::Owner owner = OwnerOf(entry);
  const bool chown = options_.set_owner &&
                     (now.st_uid != owner.uid || now.st_gid != owner.gid);
  if (chown) CheckOwner(::fchown(fd, owner.uid, owner.gid), entry.path);
  if (!entry.xattrs.empty()) {
    SetXattrs(entry, [fd, &entry](const auto& key, const auto& value) {
      if (::fsetxattr(fd, key.c_str(), value.data(), value.size(), 0) == 0) {
        return true;
      }
      if (errno == ENOTSUP || errno == EPERM) return false;
      throw ErrnoError("setxattr " + key, entry.path, errno);
    });
  }
  // An attribute may be an ACL, which is a mode too.
  const bool chmod = chown || !entry.xattrs.empty() ||
                     (now.st_mode & 07777) != (entry.mode & 07777);
  if (chmod && ::fchmod(fd, entry.mode) != 0) {
    throw ErrnoError("chmod", entry.path, errno);
  }
  if (entry.type == EntryType::kDirectory) return;  // FinishTimes
  if (::futimens(fd, Times(entry).values) != 0) {
    throw ErrnoError("set the time of", entry.path, errno);
  }
}

void Extractor::SetMetadataOfLink(const Entry& entry, const Place& place) {
  if (options_.set_owner) {
    const ExtractOptions::Owner owner = OwnerOf(entry);
    CheckOwner(::fchownat(place.at(), place.c_name(), owner.uid, owner.gid,
                          AT_SYMLINK_NOFOLLOW),
               place.path);
  }
  SetXattrs(entry, [&place](const auto& key, const auto& value) {
    return fs::SetXattr(place.at(), place.name, key, value);
  });
  if (::utimensat(place.at(), place.c_name(), Times(entry).values,
                  AT_SYMLINK_NOFOLLOW) != 0) {
    throw ErrnoError("set the time of", place.path, errno);
  }
  if (options_.whiteouts == WhiteoutForm::kApply) {
    if (const auto st = fs::LstatIfExists(place.at(), place.name)) {
      ours_.insert(st->st_ino);
    }
  }
}

// chmod has no form that takes a name and does not follow a link, and opening
// a device or a FIFO does things: the node is held by O_PATH, and chmod goes
// through the descriptor's own entry in /proc.
void Extractor::SetMetadataOfNode(const Entry& entry, const Place& place) {
  const UniqueFd fd(
      ::openat(place.at(), place.c_name(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) throw ErrnoError("open", place.path, errno);
  if (S_ISLNK(fs::Fstat(fd.get()).st_mode)) {
    throw ErrnoError("chmod", place.path, ELOOP);  // somebody swapped it
  }
  SetMetadataOfLink(entry, place);
  const std::string by_fd = "/proc/self/fd/" + std::to_string(fd.get());
  if (::chmod(by_fd.c_str(), entry.mode) != 0) {
    throw ErrnoError("chmod", place.path, errno);
  }
}

}  // namespace imgbuild::layer
