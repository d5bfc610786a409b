#include "exec/overlay.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "exec/fd_passing.h"
#include "exec/scratch_dir.h"

namespace imgbuild::exec {
namespace {

// What the kernel stacks in one overlay (OVL_MAX_STACK).
constexpr size_t kMaxLayers = 500;
// FSCONFIG_SET_STRING takes at most 255 bytes.
constexpr size_t kMaxConfigString = 255;

// One mount option: a flag when `value` is null.
struct Option {
  const char* key;
  const char* value;
};

// Options of every overlay of ours. Redirects and metacopy are off whatever
// the kernel's defaults are: an upper directory must be complete by itself,
// because it becomes a layer. With userxattr the kernel has them off and
// refuses to be told.
std::vector<Option> CommonOptions(const store::OverlayMount& mount) {
  std::vector<Option> options;
  if (mount.user_xattr) {
    options.push_back({"userxattr", nullptr});
  } else {
    options.push_back({"redirect_dir", "off"});
    options.push_back({"metacopy", "off"});
  }
  options.push_back({"index", "off"});
  options.push_back({"xino", "off"});
  if (!mount.upper.empty()) options.push_back({"volatile", nullptr});
  return options;
}

// "volatile" marks the work directory and refuses it the next time: a guard
// against a crash in between. A container that is started again uses its work
// directory again; whether its data survived is the store's question (boot
// ids), not the mount's.
void ForgetVolatile(const store::OverlayMount& mount) {
  if (mount.work.empty()) return;
  UniqueFd work =
      fs::OpenIfExists(AT_FDCWD, mount.work + "/work", O_DIRECTORY | O_RDONLY);
  if (work && fs::LstatIfExists(work.get(), "incompat")) {
    fs::RemoveTree(work.get(), "incompat");
  }
}

// What the kernel wrote into the context's log: the last line, without its
// severity.
std::string ContextLog(int context) {
  std::string text;
  char line[512];
  for (ssize_t n; (n = read(context, line, sizeof line)) > 0;) {
    text.assign(line, static_cast<size_t>(n));
  }
  if (text.size() > 2 && text[1] == ' ') text.erase(0, 2);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

// A path option; one that fsconfig cannot take as it stands (too long, or with
// a character that overlay unescapes) goes through a descriptor's name.
bool SetPath(int context, const char* key, const std::string& path) {
  if (path.size() <= kMaxConfigString && path.find('\\') == std::string::npos) {
    return fsconfig(context, FSCONFIG_SET_STRING, key, path.c_str(), 0) == 0;
  }
  UniqueFd fd(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return false;
  std::string name = fmt::format("/proc/self/fd/{}", fd.get());
  return fsconfig(context, FSCONFIG_SET_STRING, key, name.c_str(), 0) == 0;
}

// nullopt: this kernel does not know `lowerdir+`.
std::optional<UniqueFd> MountByContext(const store::OverlayMount& mount) {
  UniqueFd context(fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context) {
    int error = errno;
    if (error == ENOSYS) return std::nullopt;
    throw ErrnoError("open file system", "overlay", error);
  }
  auto fail = [&](std::string_view what, const std::string& object) -> Error {
    int error = errno;
    std::string log = ContextLog(context.get());
    Error e = ErrnoError(what, object, error);
    if (!log.empty()) e.WithNote("kernel: " + log);
    return e;
  };
  bool first = true;
  for (const std::string& lower : mount.lower) {
    if (!SetPath(context.get(), "lowerdir+", lower)) {
      if (first && errno == EINVAL && fs::LstatIfExists(AT_FDCWD, lower)) {
        return std::nullopt;
      }
      throw fail("add overlay layer", lower);
    }
    first = false;
  }
  if (!mount.upper.empty()) {
    if (!SetPath(context.get(), "upperdir", mount.upper)) {
      throw fail("set overlay upper directory", mount.upper);
    }
    if (!SetPath(context.get(), "workdir", mount.work)) {
      throw fail("set overlay work directory", mount.work);
    }
  }
  for (const Option& option : CommonOptions(mount)) {
    int ok =
        option.value == nullptr
            ? fsconfig(context.get(), FSCONFIG_SET_FLAG, option.key, nullptr, 0)
            : fsconfig(context.get(), FSCONFIG_SET_STRING, option.key,
                       option.value, 0);
    if (ok != 0) throw fail("set overlay option", option.key);
  }
  if (fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    throw fail("mount overlay",
               mount.upper.empty() ? mount.lower.front() : mount.upper);
  }
  UniqueFd root(fsmount(context.get(), FSMOUNT_CLOEXEC,
                        mount.upper.empty() ? MOUNT_ATTR_RDONLY : 0));
  if (!root) throw fail("mount overlay", mount.upper);
  return root;
}

// What the child needs, as C strings of a directory full of short names.
struct MountCall {
  std::string dir;
  std::string options;
  unsigned long flags = 0;
  std::string bottom_options;  // of "bottom", the lowest layers; or empty
};

// In the child: mounts where nobody else sees it and passes a clone of the
// mount back. Only system calls from here on.
int MountAndClone(const MountCall& call, int* clone) {
  if (unshare(CLONE_NEWNS) != 0) return errno;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return errno;
  }
  if (chdir(call.dir.c_str()) != 0) return errno;
  if (!call.bottom_options.empty() &&
      mount("overlay", "bottom", "overlay", MS_RDONLY,
            call.bottom_options.c_str()) != 0) {
    return errno;
  }
  if (mount("overlay", "root", "overlay", call.flags, call.options.c_str()) !=
      0) {
    return errno;
  }
  *clone = open_tree(AT_FDCWD, "root", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  return *clone < 0 ? errno : 0;
}

std::string JoinOptions(std::string text, const store::OverlayMount& mount) {
  for (const Option& option : CommonOptions(mount)) {
    text += std::string(",") + option.key;
    if (option.value != nullptr) text += std::string("=") + option.value;
  }
  return text;
}

// Makes the short names in `dir_fd` and the options that use them.
MountCall PlanCall(const store::OverlayMount& mount, int dir_fd) {
  auto link = [&](const std::string& target, const std::string& name) {
    if (symlinkat(target.c_str(), dir_fd, name.c_str()) != 0) {
      throw ErrnoError("create link", name, errno);
    }
  };
  fs::MakeDir(dir_fd, "root", 0700);
  // More layers than one overlay takes: the lowest are stacked first, and the
  // result is the last layer of the rest.
  size_t count = mount.lower.size();
  size_t direct = count <= kMaxLayers ? count : kMaxLayers - 1;
  std::string top;
  std::string bottom;
  for (size_t i = 0; i < count; ++i) {
    link(mount.lower[i], std::to_string(i));
    std::string& list = i < direct ? top : bottom;
    list += (list.empty() ? "" : ":") + std::to_string(i);
  }
  MountCall call;
  if (!bottom.empty()) {
    fs::MakeDir(dir_fd, "bottom", 0700);
    store::OverlayMount lowest;
    lowest.user_xattr = mount.user_xattr;
    call.bottom_options = JoinOptions("lowerdir=" + bottom, lowest);
    top += ":bottom";
  }
  call.options = "lowerdir=" + top;
  if (mount.upper.empty()) {
    call.flags = MS_RDONLY;
  } else {
    link(mount.upper, "u");
    link(mount.work, "w");
    call.options += ",upperdir=u,workdir=w";
  }
  call.options = JoinOptions(std::move(call.options), mount);
  return call;
}

UniqueFd MountByOptions(const store::OverlayMount& mount,
                        const std::string& scratch_dir) {
  fs::TempDir names = MakeScratchDir(scratch_dir);
  MountCall call = PlanCall(mount, names.fd());
  call.dir = names.path();
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    throw ErrnoError("create socket", "overlay", errno);
  }
  UniqueFd ours(pair[0]);
  UniqueFd theirs(pair[1]);
  pid_t pid = fork();
  if (pid < 0) throw ErrnoError("start process", "overlay mount", errno);
  if (pid == 0) {
    int clone = -1;
    int error = MountAndClone(call, &clone);
    SendFd(pair[1], clone, error);
    _exit(0);
  }
  theirs.reset();
  UniqueFd root = ReceiveFd(ours.get());
  int error = errno;
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (!root) {
    throw ErrnoError("mount overlay",
                     mount.upper.empty() ? mount.lower.front() : mount.upper,
                     error);
  }
  return root;
}

}  // namespace

UniqueFd MountOverlay(const store::OverlayMount& mount,
                      const std::string& scratch_dir, OverlayApi api) {
  if (mount.lower.size() > 2 * kMaxLayers - 1) {
    throw Error(ErrorCode::kHost,
                fmt::format("mount overlay: {} layers are more than the {} "
                            "that can be stacked",
                            mount.lower.size(), 2 * kMaxLayers - 1));
  }
  ForgetVolatile(mount);
  bool nested = mount.lower.size() > kMaxLayers;
  if (api != OverlayApi::kMount && !nested) {
    if (std::optional<UniqueFd> root = MountByContext(mount)) {
      return std::move(*root);
    }
    if (api == OverlayApi::kNewApi) {
      throw Error(ErrorCode::kHost,
                  "mount overlay: this kernel has no \"lowerdir+\"");
    }
  }
  return MountByOptions(mount, scratch_dir);
}

}  // namespace imgbuild::exec
