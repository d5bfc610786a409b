#include "imgbuild/exec/running.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "exec/conmon.h"
#include "exec/program_check.h"
#include "exec/runtime_spec.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxProcFile = 64 << 10;

std::string ProcPath(pid_t pid, std::string_view rest) {
  return fmt::format("/proc/{}/{}", pid, rest);
}

// "" when the process is gone.
std::string ReadProc(pid_t pid, std::string_view rest) {
  const UniqueFd fd(::open(ProcPath(pid, rest).c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[4096];
  for (ssize_t n; fd && text.size() < kMaxProcFile &&
                  (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

std::string StatusField(pid_t pid, std::string_view name) {
  for (const std::string& line : Split(ReadProc(pid, "status"), '\n')) {
    if (line.starts_with(name) && line.size() > name.size() &&
        line[name.size()] == ':') {
      return std::string(Trim(std::string_view(line).substr(name.size() + 1)));
    }
  }
  return "";
}

// The first process of a pid namespace below ours is number 1 there.
bool IsFirstInNamespace(pid_t pid) {
  const std::string numbers = StatusField(pid, "NSpid");
  return numbers.ends_with("\t1");
}

std::string PidNamespace(pid_t pid) {
  char target[64];
  const ssize_t n =
      ::readlink(ProcPath(pid, "ns/pid").c_str(), target, sizeof target);
  return n > 0 ? std::string(target, static_cast<size_t>(n)) : "";
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> out;
  const UniqueFd tasks(::open(ProcPath(pid, "task").c_str(),
                              O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!tasks) return out;
  for (const std::string& task : fs::ListDir(tasks.get())) {
    const std::string text =
        ReadProc(pid, fmt::format("task/{}/children", task));
    for (const std::string& word : Split(text, ' ')) {
      if (const auto number = ParseUint(Trim(word))) {
        out.push_back(static_cast<pid_t>(*number));
      }
    }
  }
  return out;
}

bool HasEnded(int pidfd) {
  pollfd end{pidfd, POLLIN, 0};
  return ::poll(&end, 1, 0) > 0;
}

UniqueFd OpenPidfd(pid_t pid) {
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

// Between fork and exec: into the cgroups and namespaces; then the process
// that goes on is a child, because a pid namespace is entered by children
// only. The one in between waits and ends as its child did.
int EnterAll(const std::vector<int>& cgroups, int pidfd) {
  for (const int fd : cgroups) {
    if (::write(fd, "0", 1) != 1) return errno;
  }
  if (::setns(pidfd, CLONE_NEWNS | CLONE_NEWPID) != 0) return errno;
  // What is sent to the one in between is for its child.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) {
    ::sigprocmask(SIG_SETMASK, &before, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    return ::chdir("/") == 0 ? 0 : errno;
  }
  // The starter waits for the end of its error pipe.
  ::close_range(0, ~0U, 0);
  for (;;) {
    siginfo_t info;
    const int number = ::sigwaitinfo(&all, &info);
    if (number > 0 && number != SIGCHLD) {
      ::kill(child, number);
      continue;
    }
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) != child) continue;
    ::_exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
  }
}

}  // namespace

std::optional<Running> Running::Find(const StartedContainer& started) {
  if (started.pid <= 0) return std::nullopt;
  UniqueFd pidfd = OpenPidfd(started.pid);
  if (!pidfd) return std::nullopt;
  const std::string id =
      ReadProc(started.pid, "root" + started.run_dir + "/" + kIdFile);
  // Read through the number, so the number must have been its own until now.
  if (id != started.id || HasEnded(pidfd.get())) return std::nullopt;
  return Running(started, std::move(pidfd));
}

bool Running::Ended() const { return HasEnded(pidfd_.get()); }

pid_t Running::InitPid() const {
  for (const pid_t child : ChildrenOf(started_.pid)) {
    if (IsFirstInNamespace(child) && !Ended()) return child;
  }
  return 0;
}

bool Running::Signal(int number) const {
  const pid_t pid = InitPid();
  if (pid == 0) return false;
  const UniqueFd pidfd = OpenPidfd(pid);
  // Asked again: what the descriptor means is still that child.
  if (!pidfd || InitPid() != pid) return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0) == 0;
}

std::vector<pid_t> Running::Processes() const {
  std::vector<pid_t> out;
  const pid_t init = InitPid();
  if (init == 0) return out;
  const std::string wanted = PidNamespace(init);
  const UniqueFd proc = fs::OpenDir(AT_FDCWD, "/proc");
  for (const std::string& name : fs::ListDir(proc.get())) {
    const auto number = ParseUint(name);
    if (!number) continue;
    const auto pid = static_cast<pid_t>(*number);
    if (PidNamespace(pid) == wanted) out.push_back(pid);
  }
  std::ranges::sort(out);
  return out;
}

UniqueFd Running::OpenRoot() const {
  return fs::Open(AT_FDCWD, ProcPath(InitPid(), "root"), O_PATH | O_DIRECTORY);
}

UniqueFd Running::OpenNetwork() const {
  return fs::Open(AT_FDCWD, ProcPath(InitPid(), "ns/net"), O_RDONLY);
}

UniqueFd Running::OpenRunDir() const {
  return fs::OpenDir(AT_FDCWD,
                     ProcPath(started_.pid, "root" + started_.run_dir));
}

Process Running::StartRuntime(const std::vector<std::string>& arguments,
                              const InsideSpec& stdio,
                              const std::vector<int>& keep_fds) const {
  ProcessOptions options;
  options.argv = {started_.runtime, "--root", started_.run_dir + "/state"};
  if (started_.crun) options.argv.emplace_back("--cgroup-manager=disabled");
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.env = {{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}};
  options.stdin_fd = stdio.stdin_fd;
  options.stdout_fd = stdio.stdout_fd;
  options.stderr_fd = stdio.stderr_fd;
  options.keep_fds = keep_fds;
  std::vector<UniqueFd> cgroups;
  std::vector<int> numbers;
  for (const std::string& path : started_.cgroups) {
    cgroups.push_back(fs::Open(AT_FDCWD, path + "/cgroup.procs", O_WRONLY));
    numbers.push_back(cgroups.back().get());
  }
  options.before_exec = [&numbers, this] {
    return EnterAll(numbers, pidfd_.get());
  };
  return Process::Start(options);
}

void Running::StartCreated() const {
  const UniqueFd log(::memfd_create("runtime", MFD_CLOEXEC));
  InsideSpec stdio;
  stdio.stderr_fd = log.get();
  Process process = StartRuntime({"start", started_.id}, stdio, {});
  const ExitStatus status = process.Wait();
  // The runtime stands in the container's own cgroups: a container that ends at
  // once takes it along. It was started then, and conmon knows how it ended.
  // (137: the process that entered the container's namespaces reports it.)
  constexpr int kKilled = 128 + SIGKILL;
  if (status.ok() || status.signal == SIGKILL || status.code == kKilled) return;
  ::lseek(log.get(), 0, SEEK_SET);
  throw Error(ErrorCode::kHost,
              fmt::format("start container: {}: {}", status.ToString(),
                          Trim(fs::ReadFd(log.get(), kMaxProcFile,
                                          "messages of the runtime"))));
}

ProcessSpec Running::ToProcess(const InsideSpec& spec) const {
  ProcessSpec out;
  out.args = spec.args;
  out.env = spec.env;
  out.cwd = spec.cwd;
  out.user = spec.user;
  out.no_new_privileges = spec.no_new_privileges;
  return out;
}

std::optional<ExitResult> Running::CheckInside(const InsideSpec& spec) const {
  const UniqueFd root = OpenRoot();
  return CheckProgram(ToProcess(spec), root.get());
}

Process Running::StartInside(const InsideSpec& spec) const {
  RuntimeLayout layout;
  layout.terminal = spec.terminal;
  // What the container may have at all; the runtime that made it decided.
  const pid_t init = InitPid();
  const std::string bounding = StatusField(init, "CapBnd");
  layout.capabilities = spec.privileged
                            ? OwnCapabilities()
                            : std::strtoull(bounding.c_str(), nullptr, 16);
  const UniqueFd file(::memfd_create("process", MFD_CLOEXEC));
  if (!file) throw ErrnoError("create", "process description", errno);
  fs::WriteAll(file.get(), AsBytes(MakeProcessSpec(ToProcess(spec), layout)),
               "process description");
  return StartRuntime(
      {"exec", "--process", fmt::format("/proc/self/fd/{}", file.get()),
       started_.id},
      spec, {file.get()});
}

}  // namespace imgbuild::exec
