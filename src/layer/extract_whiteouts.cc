#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "layer/extractor.h"

namespace imgbuild::layer {
namespace {

constexpr std::string_view kPrefix = kWhiteoutPrefix;
// AUFS kept its own files under these names; they mean nothing in a layer.
constexpr std::string_view kMetaPrefix = ".wh..wh.";

std::string Below(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "/" + name;
}

bool HasMetaComponent(std::string_view path) {
  return path.starts_with(kMetaPrefix) ||
         path.find("/.wh..wh.") != std::string_view::npos;
}

}  // namespace

bool Extractor::PlaceWhiteout(const std::string& parent,
                              const std::string& name) {
  if (options_.whiteouts == WhiteoutForm::kVerbatim) return false;
  if (HasMetaComponent(parent)) return true;
  if (!name.starts_with(kPrefix)) return false;
  if (name == kOpaqueName) {
    MakeOpaque(parent);
    return true;
  }
  if (name.starts_with(kMetaPrefix)) return true;
  const std::string victim = name.substr(kPrefix.size());
  if (victim.empty() || victim == "." || victim == "..") {
    throw Error(ErrorCode::kRegistry,
                Quoted(Below(parent, name)) + ": a whiteout of no name");
  }
  if (options_.whiteouts == WhiteoutForm::kOverlay) {
    HideBelow(parent, victim);
  } else {
    RemoveBelow(parent, victim);
  }
  return true;
}

void Extractor::HideBelow(const std::string& parent,
                          const std::string& victim) {
  const ParentCache::Dir dir = parents_.Open(parent);
  const std::string path = Below(parent, victim);
  if (::mknodat(dir->get(), victim.c_str(), S_IFCHR | 0600, makedev(0, 0)) ==
      0) {
    return;
  }
  if (errno != EEXIST) throw ErrnoError("mknod", path, errno);
  // The same archive has something of that name, which stays: only what lies
  // below is hidden. A file does that by itself, a directory by being opaque.
  const UniqueFd fd(::openat(dir->get(), victim.c_str(),
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return;
  implied_.erase(fs::Fstat(fd.get()).st_ino);
  SetOpaqueAttribute(fd.get(), path);
}

void Extractor::RemoveBelow(const std::string& parent,
                            const std::string& victim) {
  const ParentCache::Dir dir = parents_.Find(parent);
  if (!dir) return;
  const auto found = fs::LstatIfExists(dir->get(), victim);
  if (!found) return;
  if (!IsOurs(*found)) {
    fs::RemoveTree(dir->get(), victim);
    parents_.Clear();
    return;
  }
  const UniqueFd fd(::openat(dir->get(), victim.c_str(),
                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd) RemoveOthers(fd.get());
}

void Extractor::MakeOpaque(const std::string& path) {
  if (options_.whiteouts == WhiteoutForm::kApply) {
    if (const ParentCache::Dir dir = parents_.Find(path)) {
      RemoveOthers(dir->get());
    }
  } else if (path.empty()) {
    result_.opaque_root = true;
  } else {
    SetOpaqueAttribute(parents_.Open(path)->get(), path);
  }
}

void Extractor::SetOpaqueAttribute(int fd, const std::string& path) {
  if (::fsetxattr(fd, options_.opaque_xattr.c_str(), "y", 1, 0) != 0) {
    throw ErrnoError("setxattr " + options_.opaque_xattr, path, errno);
  }
  opaque_.insert(path);
}

void Extractor::RemoveOthers(int dirfd) {
  for (const std::string& name : fs::ListDir(dirfd)) {
    cancel_.Check();
    const auto found = fs::LstatIfExists(dirfd, name);
    if (!found) continue;
    if (!IsOurs(*found)) {
      fs::RemoveTree(dirfd, name);
    } else if (S_ISDIR(found->st_mode)) {
      const UniqueFd fd(
          ::openat(dirfd, name.c_str(),
                   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (fd) RemoveOthers(fd.get());
    }
  }
  parents_.Clear();
}

bool Extractor::IsOverlayWhiteout(const struct ::stat& st) const {
  return options_.whiteouts == WhiteoutForm::kOverlay && S_ISCHR(st.st_mode) &&
         st.st_rdev == makedev(0, 0);
}

void Extractor::Remember(int fd) { ours_.insert(fs::Fstat(fd).st_ino); }

// A directory of the tree that the archive does not name but puts something
// into must survive an opaque marker above it.
void Extractor::RememberParents(const std::string& parent) {
  if (parent == remembered_parent_) return;
  for (size_t end = 0; end < parent.size(); ++end) {
    end = std::min(parent.find('/', end), parent.size());
    if (const auto dir = parents_.Find(parent.substr(0, end))) {
      Remember(dir->get());
    }
  }
  remembered_parent_ = parent;
}

bool Extractor::IsOurs(const struct ::stat& st) const {
  return ours_.contains(st.st_ino);
}

}  // namespace imgbuild::layer
