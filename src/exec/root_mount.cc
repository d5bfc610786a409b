#include "imgbuild/exec/root_mount.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "exec/container_root.h"
#include "exec/overlay.h"
#include "exec/scratch_dir.h"

namespace imgbuild::exec {
namespace {

constexpr char kRoot[] = "root";

void SetReadOnly(int mount_fd) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(mount_fd, "", AT_EMPTY_PATH, &attributes,
                    sizeof attributes) != 0) {
    throw ErrnoError("make read-only", "root file system", errno);
  }
}

class DetachedRoot : public PrivateRoot {
 public:
  explicit DetachedRoot(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const override { return fd_.get(); }

 private:
  UniqueFd fd_;
};

// A detached tree takes no further mounts on older kernels, so it is put
// somewhere first, where nobody else sees it.
class NamespacedRoot : public PrivateRoot {
 public:
  NamespacedRoot(const UniqueFd& root, const std::vector<Mount>& binds,
                 bool read_only, const std::string& state_dir)
      : scratch_(MakeScratchDir(state_dir)),
        path_(scratch_.path() + "/" + kRoot) {
    fs::MakeDir(scratch_.fd(), kRoot, 0700);
    // Descriptors from before belong to the namespace that is left: from here
    // on paths say where to mount.
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
      throw ErrnoError("make", "mount namespace", errno);
    }
    if (::move_mount(root.get(), "", AT_FDCWD, path_.c_str(),
                     MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      throw ErrnoError("mount", "root file system", errno);
    }
    mounted_ = true;
    fd_ = fs::Open(AT_FDCWD, path_, O_PATH | O_DIRECTORY);
    try {
      for (const Mount& bind : binds) Bind(bind);
      if (read_only) SetReadOnly(fd_.get());
    } catch (...) {
      Unmount();
      throw;
    }
  }

  ~NamespacedRoot() override { Unmount(); }

  int fd() const override { return fd_.get(); }

 private:
  void Bind(const Mount& bind) {
    const BindSource source = OpenBindSource(bind);
    UniqueFd target = fs::TryOpenInRoot(fd_.get(), bind.target, O_PATH);
    if (!target) {
      const fs::ParentOf parent = fs::MakeParentInRoot(fd_.get(), bind.target);
      if (source.is_directory) {
        fs::MakeDir(parent.dir.get(), parent.name, 0755);
      } else {
        fs::Open(parent.dir.get(), parent.name,
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
      }
      target = fs::OpenInRoot(fd_.get(), bind.target, O_PATH);
    }
    if (::move_mount(source.fd.get(), "", target.get(), "",
                     MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0) {
      throw ErrnoError("mount", bind.target, errno);
    }
  }

  void Unmount() noexcept {
    if (!mounted_) return;
    mounted_ = false;
    fd_.reset();
    ::umount2(path_.c_str(), MNT_DETACH);
  }

  fs::TempDir scratch_;
  std::string path_;
  UniqueFd fd_;
  bool mounted_ = false;
};

// What the kernel knows of a path, without waking whatever may be mounted.
std::optional<struct statx> Statx(const std::string& path) {
  struct statx st = {};
  if (::statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_TYPE, &st) != 0) {
    return std::nullopt;
  }
  return st;
}

}  // namespace

std::unique_ptr<PrivateRoot> MountPrivateRoot(const store::OverlayMount& mount,
                                              const std::vector<Mount>& binds,
                                              bool read_only,
                                              const std::string& state_dir) {
  UniqueFd root = MountOverlay(mount, state_dir);
  if (!binds.empty()) {
    return std::make_unique<NamespacedRoot>(root, binds, read_only, state_dir);
  }
  if (read_only) SetReadOnly(root.get());
  return std::make_unique<DetachedRoot>(std::move(root));
}

void MountReadOnly(const store::OverlayMount& mount, const std::string& path,
                   const std::string& state_dir) {
  store::OverlayMount lower_only = mount;
  if (!mount.upper.empty()) {
    lower_only.lower.insert(lower_only.lower.begin(), mount.upper);
    lower_only.upper.clear();
    lower_only.work.clear();
  }
  const UniqueFd root = MountOverlay(lower_only, state_dir);
  if (::move_mount(root.get(), "", AT_FDCWD, path.c_str(),
                   MOVE_MOUNT_F_EMPTY_PATH) != 0) {
    throw ErrnoError("mount", path, errno);
  }
}

bool UnmountRoot(const std::string& path, bool force) {
  if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) ==
      0) {
    return true;
  }
  if (errno == EINVAL || errno == ENOENT) return false;
  if (errno == EBUSY) {
    throw Error(ErrorCode::kFailed,
                fmt::format("umount \"{}\": it is in use", path))
        .WithHint("close what is open there, or --force");
  }
  throw ErrnoError("umount", path, errno);
}

bool IsMountPoint(const std::string& path) {
  const auto st = Statx(path);
  return st && (st->stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

}  // namespace imgbuild::exec
