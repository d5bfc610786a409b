#include "imgbuild/layer/extract.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "layer/extractor.h"

namespace imgbuild::layer {
namespace {

// An honest archive makes room once. More means that somebody else keeps
// putting things there.
constexpr int kMaxAttempts = 16;

Error Malformed(const std::string& path, const std::string& reason) {
  return Error(ErrorCode::kRegistry, Quoted(path) + ": " + reason);
}

// What the archive itself is to blame for.
Error PlaceError(std::string_view operation, const std::string& path,
                 int error_number) {
  const bool archive = error_number == ENAMETOOLONG || error_number == ENOENT ||
                       error_number == ENOTDIR || error_number == ELOOP;
  return ErrnoError(operation, path, error_number,
                    archive ? ErrorCode::kRegistry : ErrorCode::kHost);
}

void WriteAt(int fd, Bytes bytes, uint64_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n =
        ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw ErrnoError("write", path, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

// "a/b/c" -> "a/b", "c".
std::pair<std::string, std::string> SplitClean(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Extractor::Extractor(TarReader& reader, int root_fd,
                     const ExtractOptions& options, const CancelToken& cancel)
    : reader_(reader),
      root_fd_(root_fd),
      options_(options),
      cancel_(cancel),
      parents_(root_fd,
               {.make_way =
                    [this](int at, const std::string& name) {
                      // A directory below a name that was hidden: it is new.
                      const auto st = fs::LstatIfExists(at, name);
                      return st && IsOverlayWhiteout(*st) &&
                             ::unlinkat(at, name.c_str(), 0) == 0;
                    },
                .made =
                    [this](int fd, const std::string& path, bool replaced) {
                      if (replaced) {
                        SetOpaqueAttribute(fd, path);
                      } else {
                        implied_[fs::Fstat(fd).st_ino] = path;
                      }
                    }}) {}

ExtractResult Extractor::Run() {
  while (const std::optional<Entry> entry = reader_.Next()) {
    cancel_.Check();
    ++result_.entries;
    PlaceEntry(*entry);
  }
  FinishLinks();
  FinishTimes();
  FinishImplied();
  return std::move(result_);
}

void Extractor::PlaceEntry(const Entry& entry) {
  Place place;
  place.path = fs::CleanRelative(entry.path);
  if (place.path.empty()) {
    PlaceRoot(entry);
    return;
  }
  std::string parent;
  std::tie(parent, place.name) = SplitClean(place.path);
  if (PlaceWhiteout(parent, place.name)) return;
  if (!pending_links_.empty()) pending_links_.erase(place.path);
  place.dir = parents_.Open(parent);
  if (options_.whiteouts == WhiteoutForm::kApply) RememberParents(parent);
  if (options_.keep_kinds) CheckKind(entry, place);
  switch (entry.type) {
    case EntryType::kFile:
      return PlaceFile(entry, place);
    case EntryType::kDirectory:
      return PlaceDirectory(entry, place);
    case EntryType::kSymlink:
      return PlaceSymlink(entry, place);
    case EntryType::kHardLink:
      return PlaceHardLink(entry, place);
    case EntryType::kCharDevice:
    case EntryType::kBlockDevice:
    case EntryType::kFifo:
      return PlaceNode(entry, place);
  }
}

// With keep_kinds. Somebody else may still put things there in between; what is
// lost then is what he put there.
void Extractor::CheckKind(const Entry& entry, const Place& place) const {
  const auto found = fs::LstatIfExists(place.at(), place.name);
  if (!found) return;
  const bool is_directory = entry.type == EntryType::kDirectory;
  if (S_ISDIR(found->st_mode) == is_directory) return;
  const char* present = is_directory ? "non-directory" : "directory";
  const char* wanted = is_directory ? "directory" : "non-directory";
  throw Error(ErrorCode::kFailed, std::string("cannot overwrite ") + present +
                                      " " + Quoted(place.path) + " with " +
                                      wanted + " " + Quoted(entry.path));
}

// The root belongs to the caller: it is never replaced.
void Extractor::PlaceRoot(const Entry& entry) {
  if (entry.type != EntryType::kDirectory) {
    throw Malformed(entry.path, "the root of an archive must be a directory");
  }
  if (options_.whiteouts == WhiteoutForm::kVerbatim) return;
  const ParentCache::Dir root = parents_.Open("");
  SetMetadata(entry, root->get());
  result_.has_root_entry = true;
  dir_times_.push_back(
      {"", fs::Fstat(root->get()).st_ino, entry.mtime_s, entry.mtime_ns});
}

std::optional<struct ::stat> Extractor::MakeRoom(const Place& place) {
  const auto found = fs::LstatIfExists(place.at(), place.name);
  if (!found) return found;
  if (S_ISDIR(found->st_mode)) {
    fs::RemoveTree(place.at(), place.name);
  } else if (::unlinkat(place.at(), place.c_name(), 0) != 0 &&
             errno != ENOENT) {
    throw PlaceError("remove", place.path, errno);
  }
  if (S_ISDIR(found->st_mode) || S_ISLNK(found->st_mode)) parents_.Clear();
  return found;
}

int Extractor::CreateOver(const Place& place,
                          const std::function<int()>& create) {
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (create() == 0) return 0;
    if (errno != EEXIST) return errno;
    MakeRoom(place);
  }
  return EEXIST;
}

void Extractor::PlaceFile(const Entry& entry, const Place& place) {
  UniqueFd fd;
  // Most often this is the right mode at once, and SetMetadata() need not ask
  // the file system for another one.
  const mode_t mode = (entry.mode & 0777) | 0600;
  const int error = CreateOver(place, [&] {
    fd.reset(::openat(place.at(), place.c_name(),
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      mode));
    return fd ? 0 : -1;
  });
  if (error != 0) throw PlaceError("create", place.path, error);
  CopyData(entry, place, fd.get());
  SetMetadata(entry, fd.get());
  if (options_.whiteouts == WhiteoutForm::kApply) Remember(fd.get());
}

void Extractor::CopyData(const Entry& entry, const Place& place, int fd) {
  uint64_t end = 0;
  while (end < entry.size) {
    const auto block = reader_.ReadBlock();
    if (!block) break;
    cancel_.Check();
    WriteAt(fd, block->bytes, block->offset, place.path);
    end = block->offset + block->bytes.size();
  }
  // What follows the last data is a hole.
  if (end < entry.size &&
      ::ftruncate(fd, static_cast<off_t>(entry.size)) != 0) {
    throw ErrnoError("truncate", place.path, errno);
  }
  result_.bytes += entry.size;
}

void Extractor::PlaceDirectory(const Entry& entry, const Place& place) {
  bool was_hidden = false;
  for (int attempt = 0; ::mkdirat(place.at(), place.c_name(), 0700) != 0;
       ++attempt) {
    if (errno != EEXIST || attempt == kMaxAttempts) {
      throw PlaceError("mkdir", place.path, errno);
    }
    const auto found = fs::LstatIfExists(place.at(), place.name);
    if (found && S_ISDIR(found->st_mode)) break;
    const auto removed = MakeRoom(place);
    was_hidden = removed && IsOverlayWhiteout(*removed);
  }
  auto dir = std::make_shared<const UniqueFd>(
      ::openat(place.at(), place.c_name(),
               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!*dir) throw PlaceError("open", place.path, errno);
  const ino_t inode = fs::Fstat(dir->get()).st_ino;
  implied_.erase(inode);
  SetMetadata(entry, dir->get());
  if (was_hidden) SetOpaqueAttribute(dir->get(), place.path);
  if (options_.whiteouts == WhiteoutForm::kApply) Remember(dir->get());
  dir_times_.push_back({place.path, inode, entry.mtime_s, entry.mtime_ns});
  parents_.Put(place.path, std::move(dir));
}

void Extractor::PlaceSymlink(const Entry& entry, const Place& place) {
  const int error = CreateOver(place, [&] {
    return ::symlinkat(entry.link_target.c_str(), place.at(), place.c_name());
  });
  if (error != 0) throw PlaceError("symlink", place.path, error);
  SetMetadataOfLink(entry, place);
}

void Extractor::PlaceNode(const Entry& entry, const Place& place) {
  const mode_t type = entry.type == EntryType::kCharDevice    ? S_IFCHR
                      : entry.type == EntryType::kBlockDevice ? S_IFBLK
                                                              : S_IFIFO;
  const int error = CreateOver(place, [&] {
    return ::mknodat(place.at(), place.c_name(), type | 0600,
                     makedev(entry.dev_major, entry.dev_minor));
  });
  if (error == EPERM && options_.tolerate_ownership) return;
  if (error != 0) throw PlaceError("mknod", place.path, error);
  SetMetadataOfNode(entry, place);
}

bool Extractor::TryLink(const std::string& target, const Place& place) {
  std::string target_parent;
  std::string target_name;
  std::tie(target_parent, target_name) = SplitClean(target);
  const ParentCache::Dir from = parents_.Find(target_parent);
  if (!from) return false;
  const auto found = fs::LstatIfExists(from->get(), target_name);
  if (!found || IsOverlayWhiteout(*found)) return false;
  if (S_ISDIR(found->st_mode)) {
    throw Malformed(place.path, "hard link to the directory " + Quoted(target));
  }
  const auto present = fs::LstatIfExists(place.at(), place.name);
  if (present && present->st_ino == found->st_ino &&
      present->st_dev == found->st_dev) {
    return true;  // two names of one file already
  }
  // No AT_SYMLINK_FOLLOW: a link to a symbolic link is a second name of that
  // link. A failure (another file system, too many links) is an error, never a
  // reason to read the target's bytes.
  const int error = CreateOver(place, [&] {
    return ::linkat(from->get(), target_name.c_str(), place.at(),
                    place.c_name(), 0);
  });
  if (error != 0) throw PlaceError("link", place.path, error);
  return true;
}

void Extractor::PlaceHardLink(const Entry& entry, const Place& place) {
  std::string target = fs::CleanRelative(entry.link_target);
  if (target.empty()) throw Malformed(place.path, "hard link to the root");
  if (const auto it = pending_links_.find(target); it != pending_links_.end()) {
    target = it->second;
  }
  if (target == place.path) {
    if (fs::LstatIfExists(place.at(), place.name)) return;
    throw Malformed(place.path, "hard link to itself");
  }
  if (TryLink(target, place)) return;
  if (options_.whiteouts != WhiteoutForm::kOverlay) {
    throw Malformed(place.path,
                    "hard link to " + Quoted(target) + ", which is not there");
  }
  MakeRoom(place);
  pending_links_[place.path] = target;
}

// A target may come after its link, or lie in a layer below.
void Extractor::FinishLinks() {
  for (const auto& [path, target] : pending_links_) {
    const auto [parent, name] = SplitClean(path);
    const Place place{parents_.Open(parent), name, path};
    const auto present = fs::LstatIfExists(place.at(), name);
    // Something else took the name without being an entry of it: a directory
    // that a later entry implied.
    if (present && !IsOverlayWhiteout(*present)) continue;
    if (!TryLink(target, place)) result_.lower_links.push_back({path, target});
  }
}

void Extractor::FinishTimes() {
  for (const DirTime& dir : dir_times_) {
    const UniqueFd fd = fs::TryOpenInRoot(root_fd_, dir.path,
                                          O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!fd || fs::Fstat(fd.get()).st_ino != dir.inode) continue;
    const timespec times[2] = {
        {0, UTIME_OMIT}, {dir.seconds, static_cast<long>(dir.nanoseconds)}};
    if (::futimens(fd.get(), times) != 0) {
      throw ErrnoError("set the time of", dir.path, errno);
    }
  }
}

void Extractor::FinishImplied() {
  for (const auto& [inode, path] : implied_) {
    const UniqueFd fd =
        fs::TryOpenInRoot(root_fd_, path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    if (!fd || fs::Fstat(fd.get()).st_ino != inode) continue;
    // Below an opaque directory nothing of the layers below is to be seen.
    const bool hidden = std::any_of(
        opaque_.begin(), opaque_.end(), [&path = path](const auto& opaque) {
          return path.size() > opaque.size() && path.starts_with(opaque) &&
                 path[opaque.size()] == '/';
        });
    if (!hidden && !result_.opaque_root) {
      result_.implied_directories.push_back(path);
    }
  }
  std::sort(result_.implied_directories.begin(),
            result_.implied_directories.end());
}

ExtractResult Extract(Reader& tar, int root_fd, const ExtractOptions& options,
                      const CancelToken& cancel) {
  TarReader reader(tar, options.limits);
  return Extractor(reader, root_fd, options, cancel).Run();
}

}  // namespace imgbuild::layer
