#include "exec/container_root.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/strings.h"

#include "exec/overlay.h"
#include "exec/scratch_dir.h"

namespace imgbuild::exec {
namespace {

// A memfd that is mounted is a secret or a small script.
constexpr size_t kMaxContent = 16 << 20;

bool IsBelow(const std::string& path, const std::string& dir) {
  return path.size() > dir.size() && path.starts_with(dir) &&
         path[dir.size()] == '/';
}

bool InKernelPlace(const std::string& path) {
  for (const char* place : {"dev", "proc", "sys"}) {
    if (path == place || IsBelow(path, place)) return true;
  }
  return false;
}

// Where `path` leads when it can be mounted over with a file.
std::optional<std::string> FileTarget(int root_fd, const FileTree& tree,
                                      const char* path) {
  std::string resolved = ResolveInTree(tree, path, /*follow_last=*/true);
  if (resolved.empty() || InKernelPlace(resolved)) return std::nullopt;
  UniqueFd fd = fs::TryOpenInRoot(root_fd, resolved, O_PATH | O_NOFOLLOW);
  if (fd) {
    if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) return std::nullopt;
  } else if (errno != ENOENT) {
    return std::nullopt;
  }
  return resolved;
}

// What the root must have for spec.mounts. A target inside another mount is
// made there, if need be, and never in the layer.
std::vector<MountTarget> OwnTargets(const ProcessSpec& spec,
                                    const std::vector<BindSource>& binds) {
  std::vector<MountTarget> targets;
  for (size_t i = 0; i < spec.mounts.size(); ++i) {
    std::string path = fs::CleanRelative(spec.mounts[i].target);
    bool inside = path.empty() || InKernelPlace(path);
    for (const Mount& other : spec.mounts) {
      inside = inside || IsBelow(path, fs::CleanRelative(other.target));
    }
    if (inside) continue;
    bool is_file =
        spec.mounts[i].type == Mount::Type::kBind && !binds[i].is_directory;
    targets.push_back({std::move(path), is_file});
  }
  return targets;
}

void FindFileTargets(ContainerRoot& root) {
  DirTree tree(root.fd.get());
  root.hosts = FileTarget(root.fd.get(), tree, "etc/hosts");
  root.resolv_conf = FileTarget(root.fd.get(), tree, "etc/resolv.conf");
  root.hostname = FileTarget(root.fd.get(), tree, "etc/hostname");
}

}  // namespace

BindSource OpenBindSource(const Mount& mount) {
  BindSource source;
  source.fd.reset(
      open_tree(AT_FDCWD, mount.source.c_str(),
                OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE));
  if (!source.fd) {
    int error = errno;
    // Not on any mount of this namespace: a memfd.
    UniqueFd file = fs::OpenIfExists(AT_FDCWD, mount.source, O_RDONLY);
    struct ::stat st {};
    if (error != EINVAL || !file || fstat(file.get(), &st) != 0 ||
        !S_ISREG(st.st_mode)) {
      throw ErrnoError("open mount source", mount.source, error);
    }
    source.is_directory = false;
    source.mode = st.st_mode & 07777;
    source.uid = st.st_uid;
    source.gid = st.st_gid;
    source.content = fs::ReadFd(file.get(), kMaxContent, mount.source);
    return source;
  }
  source.is_directory = S_ISDIR(fs::Fstat(source.fd.get()).st_mode);
  mount_attr attributes{};
  attributes.propagation = MS_PRIVATE;
  if (mount.read_only) attributes.attr_set = MOUNT_ATTR_RDONLY;
  if (mount_setattr(source.fd.get(), "", AT_EMPTY_PATH | AT_RECURSIVE,
                    &attributes, sizeof attributes) != 0) {
    throw ErrnoError("make private mount of", mount.source, errno);
  }
  return source;
}

ContainerRoot MountContainerRoot(const ProcessSpec& spec,
                                 const std::vector<BindSource>& binds,
                                 const std::string& bottom_stub,
                                 const std::string& state_dir) {
  store::OverlayMount overlay = spec.rootfs;
  overlay.lower.push_back(bottom_stub);
  ContainerRoot root;
  root.fd = MountOverlay(overlay, state_dir);
  FindFileTargets(root);
  std::vector<MountTarget> targets = OwnTargets(spec, binds);
  for (const char* place : {"proc", "sys", "dev"}) targets.push_back({place});
  for (const auto& file : {root.hosts, root.resolv_conf, root.hostname}) {
    if (file) targets.push_back({*file, true});
  }
  std::vector<MountTarget> missing = MissingTargets(root.fd.get(), targets);
  if (missing.empty()) return root;
  root.top_stub.emplace(MakeScratchDir(state_dir));
  MakeTopStub(root.top_stub->fd(), root.fd.get(), missing);
  root.fd.reset();
  overlay.lower.insert(overlay.lower.begin(), root.top_stub->path());
  root.fd = MountOverlay(overlay, state_dir);
  return root;
}

}  // namespace imgbuild::exec
