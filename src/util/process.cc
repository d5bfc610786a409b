#include "imgbuild/util/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild {
namespace {

// What the child was doing when it failed; travels with errno over the pipe.
enum class Step : int { kStdio, kSession, kPrepare, kChdir, kClose, kExec };

struct Failure {
  Step step;
  int error_number;
};

// Everything that the child needs, made before fork(): between fork and exec
// of a threaded program only async-signal-safe functions may run, so nothing
// may be allocated.
struct ChildPlan {
  std::string program;
  std::vector<char*> argv;
  std::vector<char*> env;
  std::array<int, 3> stdio;
  std::vector<int> keep;  // sorted, all above 2; with the error pipe
  std::string cwd;
  bool new_session;
  const std::function<int()>* before_exec;
  pid_t parent;
  int error_pipe;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& text : strings) {
    out.push_back(const_cast<char*>(text.c_str()));  // exec's signature
  }
  out.push_back(nullptr);
  return out;
}

[[noreturn]] void Fail(const ChildPlan& plan, Step step, int error_number) {
  const Failure failure{step, error_number};
  [[maybe_unused]] const ssize_t n =
      ::write(plan.error_pipe, &failure, sizeof failure);
  ::_exit(127);
}

// The child dies with the thread that started it. A parent that died before
// this call is noticed by its number.
void DieWithParent(const ChildPlan& plan) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  const pid_t parent = ::getppid();  // 0: it is in another pid namespace
  if (parent != plan.parent && parent != 0) ::_exit(127);
}

void RestoreSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    ::sigaction(signal, &action, nullptr);  // SIGKILL and SIGSTOP refuse
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void SetUpStdio(const ChildPlan& plan) {
  // First out of the way, then in place: the three may be any of 0, 1, 2.
  std::array<int, 3> high;
  for (size_t i = 0; i < 3; ++i) {
    int fd = plan.stdio[i];
    if (fd < 0) fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    high[i] = fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (high[i] < 0) Fail(plan, Step::kStdio, errno);
  }
  for (size_t i = 0; i < 3; ++i) {
    if (::dup2(high[i], static_cast<int>(i)) < 0) {
      Fail(plan, Step::kStdio, errno);
    }
  }
}

// Closes everything but 0-2 and plan.keep, whoever opened it: a descriptor
// that another thread is just about to mark close-on-exec does not leak.
void CloseOthers(const ChildPlan& plan) {
  unsigned from = 3;
  for (const int fd : plan.keep) {
    const auto kept = static_cast<unsigned>(fd);
    if (kept > from && ::close_range(from, kept - 1, 0) != 0) {
      Fail(plan, Step::kClose, errno);
    }
    from = kept + 1;
    if (fd == plan.error_pipe) continue;
    if (::fcntl(fd, F_SETFD, 0) != 0) Fail(plan, Step::kClose, errno);
  }
  if (::close_range(from, UINT_MAX, 0) != 0) Fail(plan, Step::kClose, errno);
}

[[noreturn]] void RunChild(const ChildPlan& plan) {
  DieWithParent(plan);
  RestoreSignals();
  SetUpStdio(plan);
  if (plan.new_session && ::setsid() < 0) Fail(plan, Step::kSession, errno);
  if (*plan.before_exec) {
    const int error_number = (*plan.before_exec)();
    if (error_number != 0) Fail(plan, Step::kPrepare, error_number);
    // A change of credentials has cleared it.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  }
  if (!plan.cwd.empty() && ::chdir(plan.cwd.c_str()) != 0) {
    Fail(plan, Step::kChdir, errno);
  }
  CloseOthers(plan);
  ::execve(plan.program.c_str(), plan.argv.data(), plan.env.data());
  Fail(plan, Step::kExec, errno);
}

Error StartError(const Failure& failure, const ProcessOptions& options,
                 const std::string& program) {
  switch (failure.step) {
    case Step::kStdio:
      return ErrnoError("set up stdio of", program, failure.error_number);
    case Step::kSession:
      return ErrnoError("setsid", "", failure.error_number);
    case Step::kPrepare:
      return ErrnoError("prepare", program, failure.error_number);
    case Step::kChdir:
      return ErrnoError("chdir", options.cwd, failure.error_number);
    case Step::kClose:
      return ErrnoError("pass descriptors to", program, failure.error_number);
    case Step::kExec:
      break;
  }
  return ErrnoError("exec", program, failure.error_number);
}

bool IsProgram(const std::string& path) {
  struct ::stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::string ResolveProgram(const ProcessOptions& options) {
  if (options.argv.empty()) {
    throw Error(ErrorCode::kHost, "start a program: no name given");
  }
  const std::string& name = options.argv[0];
  if (name.find('/') != name.npos) return name;
  auto found = FindProgram(name);
  if (!found) {
    throw Error(ErrorCode::kHost,
                "exec " + Quoted(name) + ": not found in PATH");
  }
  return *found;
}

pid_t WaitPid(pid_t pid, int* status, int flags) {
  for (;;) {
    const pid_t result = ::waitpid(pid, status, flags);
    if (result >= 0 || errno != EINTR) return result;
  }
}

ExitStatus Decode(int status) {
  if (WIFSIGNALED(status)) return {.code = 0, .signal = WTERMSIG(status)};
  return {.code = WEXITSTATUS(status), .signal = 0};
}

// fork() with every signal blocked, so that no handler of ours runs in the
// child before RestoreSignals().
pid_t ForkBlocked(const ChildPlan& plan) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) RunChild(plan);
  const int saved_errno = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = saved_errno;
  return pid;
}

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal == 0) return "exit code " + std::to_string(code);
  const char* name = ::sigdescr_np(signal);
  return "signal " + std::to_string(signal) +
         (name != nullptr ? " (" + std::string(name) + ")" : "");
}

Process Process::Start(const ProcessOptions& options) {
  std::array<int, 2> pipe_fds;
  if (::pipe2(pipe_fds.data(), O_CLOEXEC) != 0) {
    throw ErrnoError("pipe", "", errno);
  }
  const UniqueFd read_end(pipe_fds[0]);
  UniqueFd low_end(pipe_fds[1]);
  // Above 2, so that setting up the child's stdio cannot hit it.
  UniqueFd write_end(::fcntl(low_end.get(), F_DUPFD_CLOEXEC, 3));
  if (!write_end) throw ErrnoError("dup", "", errno);
  low_end.reset();

  ChildPlan plan;
  plan.program = ResolveProgram(options);
  plan.argv = Pointers(options.argv);
  if (options.env) plan.env = Pointers(*options.env);
  for (char** entry = environ; !options.env && *entry != nullptr; ++entry) {
    plan.env.push_back(*entry);
  }
  if (!options.env) plan.env.push_back(nullptr);
  plan.stdio = {options.stdin_fd, options.stdout_fd, options.stderr_fd};
  plan.keep = options.keep_fds;
  plan.keep.push_back(write_end.get());
  std::erase_if(plan.keep, [](int fd) { return fd < 3; });
  std::sort(plan.keep.begin(), plan.keep.end());
  plan.keep.erase(std::unique(plan.keep.begin(), plan.keep.end()),
                  plan.keep.end());
  plan.cwd = options.cwd;
  plan.new_session = options.new_session;
  plan.before_exec = &options.before_exec;
  plan.parent = ::getpid();
  plan.error_pipe = write_end.get();

  const pid_t pid = ForkBlocked(plan);
  if (pid < 0) throw ErrnoError("fork", "", errno);
  Process process(pid);
  write_end.reset();
  Failure failure;
  ssize_t n;
  do {
    n = ::read(read_end.get(), &failure, sizeof failure);
  } while (n < 0 && errno == EINTR);
  if (n == static_cast<ssize_t>(sizeof failure)) {
    process.Wait();
    throw StartError(failure, options, plan.program);
  }
  return process;  // exec closed the pipe, or somebody killed it already
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), status_(other.status_) {}

Process& Process::operator=(Process&& other) noexcept {
  if (this != &other) {
    End();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
  }
  return *this;
}

Process::~Process() { End(); }

void Process::End() noexcept {
  if (pid_ < 0 || status_) return;
  Kill(SIGKILL);
  int status;
  WaitPid(pid_, &status, 0);
  pid_ = -1;
}

ExitStatus Process::Wait() {
  if (!status_) {
    int status = 0;
    if (WaitPid(pid_, &status, 0) < 0) throw ErrnoError("wait", "", errno);
    status_ = Decode(status);
  }
  return *status_;
}

std::optional<ExitStatus> Process::TryWait() {
  if (!status_) {
    int status = 0;
    const pid_t result = WaitPid(pid_, &status, WNOHANG);
    if (result < 0) throw ErrnoError("wait", "", errno);
    if (result > 0) status_ = Decode(status);
  }
  return status_;
}

void Process::Kill(int signal) noexcept {
  // After it was reaped the number may belong to somebody else.
  if (pid_ > 0 && !status_) ::kill(pid_, signal);
}

std::optional<std::string> FindProgram(const std::string& program) {
  if (program.empty()) return std::nullopt;
  if (program.find('/') != program.npos) {
    if (!IsProgram(program)) return std::nullopt;
    const std::unique_ptr<char, void (*)(void*)> real(
        ::realpath(program.c_str(), nullptr), ::free);
    return real ? std::optional<std::string>(real.get()) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  std::vector<std::string> dirs =
      Split(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin", ':');
  dirs.insert(dirs.end(), {"/usr/sbin", "/sbin"});
  for (const std::string& dir : dirs) {
    // Entries relative to the current directory would let a build context
    // choose what runs on the host.
    if (!dir.starts_with('/')) continue;
    std::string candidate = dir + "/" + program;
    if (IsProgram(candidate)) return candidate;
  }
  return std::nullopt;
}

}  // namespace imgbuild
