#include "store/unsynced.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::store {
namespace {

constexpr char kBlobPrefix[] = "b-";
constexpr char kLayerPrefix[] = "l-";

UniqueFd OpenDirIfThere(int dirfd, const std::string& name) {
  return UniqueFd(::openat(dirfd, name.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

}  // namespace

std::string FileNameOf(const oci::Digest& digest) {
  return std::string(oci::ToString(digest.algorithm())) + "-" + digest.hex();
}

std::optional<oci::Digest> DigestOfFileName(std::string_view name) {
  const size_t dash = name.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  std::string text(name);
  text[dash] = ':';
  return oci::Digest::TryParse(text);
}

std::string ReadBootId() {
  return std::string(
      Trim(fs::ReadFile(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 256)));
}

Unsynced::Unsynced(Layout& layout, std::string boot_id)
    : layout_(layout), boot_id_(std::move(boot_id)) {}

int Unsynced::OwnDir() {
  const std::lock_guard lock(mutex_);
  if (!own_dir_) {
    if (boot_id_.empty()) boot_id_ = ReadBootId();
    const std::string path = "unsynced/" + boot_id_;
    fs::MakeDirs(layout_.root_fd(), path, 0700);
    own_dir_ = fs::OpenDir(layout_.root_fd(), path);
  }
  return own_dir_.get();
}

void Unsynced::Mark(const std::string& name) {
  const int dir = OwnDir();
  const UniqueFd fd(::openat(
      dir, name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) throw ErrnoError("create", fs::PathOfFd(dir) + "/" + name, errno);
}

void Unsynced::Forget(const std::string& name) noexcept {
  // A mark too many costs a check after the next crash, no more.
  try {
    ::unlinkat(OwnDir(), name.c_str(), 0);
  } catch (const Error&) {
  }
}

void Unsynced::MarkBlob(const oci::Digest& digest) {
  Mark(kBlobPrefix + FileNameOf(digest));
}
void Unsynced::MarkLayer(const oci::DiffId& diff_id) {
  Mark(kLayerPrefix + FileNameOf(diff_id.digest()));
}
void Unsynced::ForgetBlob(const oci::Digest& digest) noexcept {
  Forget(kBlobPrefix + FileNameOf(digest));
}
void Unsynced::ForgetLayer(const oci::DiffId& diff_id) noexcept {
  Forget(kLayerPrefix + FileNameOf(diff_id.digest()));
}

void Unsynced::SyncBlobs(const std::vector<oci::Digest>& digests) {
  std::vector<std::pair<const oci::Digest*, UniqueFd>> files;
  for (const oci::Digest& digest : digests) {
    const std::string mark = kBlobPrefix + FileNameOf(digest);
    if (::faccessat(OwnDir(), mark.c_str(), F_OK, 0) != 0) continue;
    UniqueFd file(::openat(layout_.blobs_fd(digest.algorithm()),
                           digest.hex().c_str(), O_RDONLY | O_CLOEXEC));
    // Marked but not there: its writer has not come to the rename, or died.
    if (!file) continue;
    // All are set going before any is waited for.
    ::sync_file_range(file.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    files.emplace_back(&digest, std::move(file));
  }
  if (files.empty()) return;
  for (const auto& [digest, file] : files) {
    if (::fdatasync(file.get()) != 0) {
      throw ErrnoError("sync", "blob " + digest->ToString(), errno);
    }
  }
  for (const auto algorithm :
       {oci::DigestAlgorithm::kSha256, oci::DigestAlgorithm::kSha512}) {
    if (::fsync(layout_.blobs_fd(algorithm)) != 0) {
      throw ErrnoError("sync", layout_.PathTo("blobs"), errno);
    }
  }
  for (const auto& [digest, file] : files) ForgetBlob(*digest);
}

void Unsynced::SyncAll() {
  // Only what has its name before the sync is known to be in it.
  std::vector<std::string> marks;
  for (std::string& name : fs::ListDir(OwnDir())) {
    const auto digest = DigestOfFileName(
        std::string_view(name).substr(std::min<size_t>(name.size(), 2)));
    if (!digest) continue;
    const int dir = name.starts_with(kLayerPrefix)
                        ? layout_.layers_fd()
                        : layout_.blobs_fd(digest->algorithm());
    if (fs::LstatIfExists(dir, digest->hex())) marks.push_back(std::move(name));
  }
  if (marks.empty()) return;
  if (::syncfs(layout_.root_fd()) != 0) {
    throw ErrnoError("sync", layout_.root(), errno);
  }
  for (const std::string& name : marks) Forget(name);
}

void Unsynced::Recover() {
  std::call_once(recovered_, [this] {
    const UniqueFd dir = OpenDirIfThere(layout_.root_fd(), "unsynced");
    if (!dir) return;
    std::vector<std::string> boots = fs::ListDir(dir.get());
    if (boots.empty()) return;
    {
      const std::lock_guard lock(mutex_);
      if (boot_id_.empty()) boot_id_ = ReadBootId();
    }
    std::erase(boots, boot_id_);
    if (boots.empty()) return;
    // One process at a time: a second one finds nothing left to do.
    while (::flock(dir.get(), LOCK_EX) != 0) {
      if (errno != EINTR) throw ErrnoError("lock", "unsynced", errno);
    }
    for (const std::string& boot : boots) RecoverBoot(dir.get(), boot);
  });
}

void Unsynced::RecoverBoot(int unsynced_fd, const std::string& boot) {
  const UniqueFd dir = OpenDirIfThere(unsynced_fd, boot);
  if (!dir) return;
  for (const std::string& name : fs::ListDir(dir.get())) {
    const auto digest = DigestOfFileName(
        std::string_view(name).substr(std::min<size_t>(name.size(), 2)));
    if (digest && name.starts_with(kBlobPrefix)) RecoverBlob(*digest);
    if (digest && name.starts_with(kLayerPrefix)) {
      RecoverLayer(oci::DiffId(*digest));
    }
    ::unlinkat(dir.get(), name.c_str(), 0);
  }
  ::unlinkat(unsynced_fd, boot.c_str(), AT_REMOVEDIR);
}

void Unsynced::RecoverBlob(const oci::Digest& digest) {
  const int blobs = layout_.blobs_fd(digest.algorithm());
  const UniqueFd file =
      fs::OpenIfExists(blobs, digest.hex(), O_RDONLY | O_NOFOLLOW);
  if (!file) return;
  FdReader reader(file.get(), "blob " + digest.ToString());
  oci::Hasher hasher(digest.algorithm());
  CopyAll(reader, hasher);
  if (hasher.Finish() != digest) {
    ::unlinkat(blobs, digest.hex().c_str(), 0);
    return;
  }
  ::fdatasync(file.get());
  ::fsync(blobs);
}

void Unsynced::RecoverLayer(const oci::DiffId& diff_id) {
  // Out of sight first: a kill in the middle of the removal must not leave
  // half a layer under its name.
  const std::string trash = layout_.NextName("lost-");
  if (::renameat(layout_.layers_fd(), diff_id.hex().c_str(), layout_.own_tmp(),
                 trash.c_str()) != 0) {
    if (errno == ENOENT) return;
    throw ErrnoError("rename", "layer " + diff_id.ToString(), errno);
  }
  fs::RemoveTree(layout_.own_tmp(), trash);
}

}  // namespace imgbuild::store
