#include "exec/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "imgbuild/util/error.h"

#include "exec/clone.h"
#include "exec/raw_calls.h"

namespace imgbuild::exec {
namespace {

// What the child reads and what it reports. It lives in the parent's memory,
// which the child shares until it execs.
struct Shared {
  const LaunchPlan* plan = nullptr;
  std::vector<char*> argv;
  std::vector<char*> env;
  int parent_pidfd = -1;
  const CloneRequest* request = nullptr;
  // Set by the child when it fails.
  int error = 0;
  const char* operation = "";
  const char* object = "";
};

std::vector<char*> Pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    out.push_back(const_cast<char*>(text.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

// ---- In the child: system calls only, no allocation, no locks. ----

bool Fail(Shared& shared, const char* operation, const char* object) {
  shared.error = errno;
  shared.operation = operation;
  shared.object = object;
  return false;
}

bool WriteFile(Shared& shared, int dir, const LaunchPlan::File& file) {
  int fd = raw::Open(dir, file.path.c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file.mode);
  if (fd < 0) return Fail(shared, "create file", file.path.c_str());
  const char* data = file.content.data();
  size_t left = file.content.size();
  while (left > 0) {
    ssize_t n = raw::Write(fd, data, left);
    if (n < 0) return Fail(shared, "write", file.path.c_str());
    data += n;
    left -= static_cast<size_t>(n);
  }
  // The umask must not decide what a container sees.
  if (fchmod(fd, file.mode) != 0 || ((file.uid != 0 || file.gid != 0) &&
                                     fchown(fd, file.uid, file.gid) != 0)) {
    return Fail(shared, "set mode of", file.path.c_str());
  }
  raw::Close(fd);
  return true;
}

bool FillDirectory(Shared& shared) {
  const LaunchPlan& plan = *shared.plan;
  if (mount("tmpfs", plan.dir.c_str(), "tmpfs", MS_NOSUID | MS_NODEV,
            "mode=0700,size=128m") != 0) {
    return Fail(shared, "mount tmpfs on", plan.dir.c_str());
  }
  int dir =
      raw::Open(AT_FDCWD, plan.dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return Fail(shared, "open", plan.dir.c_str());
  for (const std::string& name : plan.directories) {
    if (mkdirat(dir, name.c_str(), 0700) != 0) {
      return Fail(shared, "create directory", name.c_str());
    }
  }
  for (const LaunchPlan::File& file : plan.files) {
    if (!WriteFile(shared, dir, file)) return false;
  }
  for (const LaunchPlan::Attach& attach : plan.mounts) {
    const char* path = attach.path.c_str();
    int made = attach.is_directory ? mkdirat(dir, path, 0700)
                                   : mknodat(dir, path, S_IFREG | 0600, 0);
    if (made != 0) return Fail(shared, "create mount point", path);
    if (move_mount(attach.fd, "", dir, path, MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      return Fail(shared, "attach mount", path);
    }
  }
  raw::Close(dir);
  return true;
}

bool SetUpNamespaces(Shared& shared) {
  const LaunchPlan& plan = *shared.plan;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return Fail(shared, "make mounts private below", "/");
  }
  if (shared.request->enter_cgroup) {
    int fd = raw::Open(plan.cgroup2_fd, "cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || raw::Write(fd, "0", 1) != 1) {
      return Fail(shared, "enter", "cgroup");
    }
    raw::Close(fd);
  }
  for (int fd : plan.cgroup_procs_fds) {
    if (raw::Write(fd, "0", 1) != 1) return Fail(shared, "enter", "cgroup");
  }
  if (plan.network_fd >= 0 && setns(plan.network_fd, CLONE_NEWNET) != 0) {
    return Fail(shared, "enter", "network namespace");
  }
  if (!FillDirectory(shared)) return false;
  // The runtime looks itself up in /proc: it must see its own pid namespace.
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
            nullptr) != 0) {
    return Fail(shared, "mount", "/proc");
  }
  if (plan.private_cgroup2) {
    if (unshare(CLONE_NEWCGROUP) != 0) {
      return Fail(shared, "unshare", "cgroup namespace");
    }
    if (mount("cgroup2", "/sys/fs/cgroup", "cgroup2",
              MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
      return Fail(shared, "mount cgroup2 on", "/sys/fs/cgroup");
    }
  }
  return true;
}

bool WaitAtGate(Shared& shared) {
  const LaunchPlan& plan = *shared.plan;
  if (plan.gate_fd < 0) return true;
  pollfd gate{plan.gate_fd, POLLIN, 0};
  while (poll(&gate, 1, -1) < 0) {
    if (errno != EINTR) return Fail(shared, "wait for", "network");
  }
  if (plan.gate_open->load()) return true;
  errno = ECANCELED;
  return Fail(shared, "wait for", "network");
}

// Through copies above 2, because the sources may be among 0, 1 and 2.
bool SetUpStreams(Shared& shared) {
  const LaunchPlan& plan = *shared.plan;
  int from[3] = {plan.stdin_fd, plan.stdout_fd, plan.stderr_fd};
  for (int& fd : from) {
    if (fd < 0) {
      fd = raw::Open(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
      if (fd < 0) return Fail(shared, "open", "/dev/null");
    }
    fd = raw::Control(fd, F_DUPFD_CLOEXEC, 10);
    if (fd < 0) return Fail(shared, "duplicate", "descriptor");
  }
  for (int i = 0; i < 3; ++i) {
    if (raw::Duplicate(from[i], i) < 0)
      return Fail(shared, "duplicate", "descriptor");
  }
  if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    return Fail(shared, "close", "descriptors");
  }
  for (int fd : plan.keep_fds) {
    if (fd >= 0 && raw::Control(fd, F_SETFD, 0) != 0) {
      return Fail(shared, "keep", "descriptor");
    }
  }
  return true;
}

bool PrepareAndExec(Shared& shared) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) {
    return Fail(shared, "set", "parent death signal");
  }
  // The program may have been killed before the line above.
  pollfd parent{shared.parent_pidfd, POLLIN, 0};
  if (poll(&parent, 1, 0) > 0) _exit(1);
  // A terminal's Ctrl-C is for imgbuild, which decides what to do.
  setsid();
  umask(022);
  if (chdir("/") != 0) return Fail(shared, "enter", "/");
  if (!SetUpNamespaces(shared) || !WaitAtGate(shared) ||
      !SetUpStreams(shared)) {
    return false;
  }
  // Ignored signals would stay ignored in the container.
  for (int number = 1; number < NSIG; ++number) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (shared.plan->program_fd >= 0) {
    syscall(SYS_execveat, shared.plan->program_fd, "", shared.argv.data(),
            shared.env.data(), AT_EMPTY_PATH);
  } else {
    execve(shared.argv[0], shared.argv.data(), shared.env.data());
  }
  return Fail(shared, "start", shared.argv[0]);
}

int ChildMain(void* argument) {
  Shared& shared = *static_cast<Shared*>(argument);
  PrepareAndExec(shared);
  _exit(127);
}

// ---- In the parent. ----

[[noreturn]] void ThrowCloneError(int error) {
  Error e = ErrnoError("create namespaces for", "the OCI runtime", error);
  if (error == EPERM) {
    e.WithHint(
        "run as root, or allow user namespaces; `imgbuild doctor` "
        "tells what is missing");
  }
  throw e;
}

}  // namespace

Launched::~Launched() {
  if (pid_ < 0) return;
  Signal(SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Launched::Signal(int number) noexcept {
  if (pid_ > 0) kill(pid_, number);
}

int Launched::Wait() {
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) throw ErrnoError("wait for", "runtime", errno);
  }
  pid_ = -1;
  return status;
}

Launched Launch(const LaunchPlan& plan) {
  Shared shared;
  shared.plan = &plan;
  shared.argv = Pointers(plan.argv);
  shared.env = Pointers(plan.env);
  UniqueFd parent(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  if (!parent) throw ErrnoError("open", "own process", errno);
  shared.parent_pidfd = parent.get();
  CloneRequest request;
  request.flags = CLONE_NEWNS | CLONE_NEWPID;
  request.cgroup2_fd = plan.cgroup2_fd;
  request.function = ChildMain;
  request.argument = &shared;
  shared.request = &request;
  const pid_t pid = CloneShared(request);
  if (pid < 0) ThrowCloneError(errno);
  Launched launched(pid, UniqueFd(request.pidfd));
  if (shared.error != 0) {
    launched.Wait();
    throw ErrnoError(shared.operation, shared.object, shared.error)
        .While("while starting the OCI runtime");
  }
  return launched;
}

}  // namespace imgbuild::exec
