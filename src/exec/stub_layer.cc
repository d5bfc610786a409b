#include "exec/stub_layer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

// mkdir with exactly this mode; an existing directory stays as it is. Returns
// whether it was made.
bool MakeDirectory(int dir, const std::string& name) {
  if (mkdirat(dir, name.c_str(), 0755) != 0) {
    if (errno == EEXIST) return false;
    throw ErrnoError("create directory", name, errno);
  }
  if (fchmodat(dir, name.c_str(), 0755, 0) != 0) {
    throw ErrnoError("set mode of", name, errno);
  }
  return true;
}

void MakeFile(int dir, const std::string& name) {
  UniqueFd fd(openat(dir, name.c_str(),
                     O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd) throw ErrnoError("create file", name, errno);
  if (fchmod(fd.get(), 0644) != 0) {
    throw ErrnoError("set mode of", name, errno);
  }
}

// The look of `path` in the merged root, given to the stub's directory.
void CopyLook(int root_fd, const std::string& path, int stub_dir) {
  UniqueFd real =
      fs::TryOpenInRoot(root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!real) return;
  struct ::stat st = fs::Fstat(real.get());
  // Best effort for what is only seen while the process runs; the owner and
  // the mode decide about access, so they must succeed.
  if (fchown(stub_dir, st.st_uid, st.st_gid) != 0 ||
      fchmod(stub_dir, st.st_mode & 07777) != 0) {
    throw ErrnoError("set owner and mode of", path, errno);
  }
  for (const auto& [key, value] : fs::ListXattrs(real.get(), ".")) {
    if (key.find(".overlay.") != std::string::npos) continue;
    fs::SetXattr(stub_dir, ".", key, value);
  }
  const struct timespec times[2] = {st.st_atim, st.st_mtim};
  futimens(stub_dir, times);
}

}  // namespace

const std::vector<MountTarget>& UsualTargets() {
  static const std::vector<MountTarget> kTargets = {{"proc", false},
                                                    {"sys", false},
                                                    {"dev", false},
                                                    {"etc/hosts", true},
                                                    {"etc/resolv.conf", true},
                                                    {"etc/hostname", true}};
  return kTargets;
}

std::string EnsureBottomStub(const std::string& state_dir) {
  UniqueFd state = fs::OpenDir(AT_FDCWD, state_dir);
  MakeDirectory(state.get(), "stub");
  UniqueFd stub = fs::OpenDir(state.get(), "stub");
  for (const MountTarget& target : UsualTargets()) {
    size_t slash = target.path.find('/');
    if (slash == std::string::npos) {
      MakeDirectory(stub.get(), target.path);
      continue;
    }
    std::string parent = target.path.substr(0, slash);
    MakeDirectory(stub.get(), parent);
    UniqueFd dir = fs::OpenDir(stub.get(), parent);
    MakeFile(dir.get(), target.path.substr(slash + 1));
  }
  return state_dir + "/stub";
}

std::vector<MountTarget> MissingTargets(
    int root_fd, const std::vector<MountTarget>& targets) {
  std::vector<MountTarget> missing;
  for (const MountTarget& target : targets) {
    UniqueFd fd = fs::TryOpenInRoot(root_fd, target.path, O_PATH | O_NOFOLLOW);
    if (!fd) {
      if (errno != ENOENT) {
        throw ErrnoError("find mount target", "/" + target.path, errno,
                         ErrorCode::kStep);
      }
      missing.push_back(target);
      continue;
    }
    struct ::stat st = fs::Fstat(fd.get());
    // The kernel's own places are left to the runtime, which opens them in
    // the root and checks what it got.
    if (S_ISLNK(st.st_mode)) continue;
    if (S_ISDIR(st.st_mode) == target.is_file) {
      throw Error(
          ErrorCode::kStep,
          fmt::format("mount target {} is {} in the root file system",
                      Quoted("/" + target.path),
                      target.is_file ? "a directory" : "not a directory"));
    }
  }
  return missing;
}

void MakeTopStub(int stub_fd, int root_fd,
                 const std::vector<MountTarget>& targets) {
  CopyLook(root_fd, ".", stub_fd);
  for (const MountTarget& target : targets) {
    UniqueFd dir = fs::OpenDir(stub_fd, ".");
    std::string path;
    std::vector<std::string> parts = Split(target.path, '/');
    for (size_t i = 0; i < parts.size(); ++i) {
      if (i + 1 == parts.size() && target.is_file) {
        MakeFile(dir.get(), parts[i]);
        break;
      }
      path += (path.empty() ? "" : "/") + parts[i];
      bool made = MakeDirectory(dir.get(), parts[i]);
      UniqueFd next = fs::OpenDir(dir.get(), parts[i]);
      if (made) CopyLook(root_fd, path, next.get());
      dir = std::move(next);
    }
  }
}

}  // namespace imgbuild::exec
