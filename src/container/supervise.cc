// The monitor process of a detached container, and its starter's side. Over
// their socket go lines of JSON from the monitor, and one byte back:
//   {"created":true}                          the container exists
//   <- any byte                               let it run
//   {"started":true}                          it runs; the monitor hangs up
//   {"exit":127,"message":…}                  its command cannot be started
//   {"code":5,"message":…,"hint":…,"notes":[…]}   anything else
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "imgbuild/container/run.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include <nlohmann/json.hpp>

#include "container/files.h"
#include "container/monitor.h"

namespace imgbuild::container {
namespace {

using Json = nlohmann::json;
using Milliseconds = std::chrono::milliseconds;

constexpr size_t kMaxLine = 64 << 10;
// Docker's: the pause doubles from 100 ms to a minute, and a run of ten
// seconds was a good one.
constexpr Milliseconds kFirstPause{100};
constexpr Milliseconds kLongestPause{60'000};
constexpr int64_t kGoodRunNs = 10'000'000'000;
constexpr Milliseconds kTick{50};

// The monitor's end.
class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}
  bool open() const { return static_cast<bool>(fd_); }
  void Send(const Json& message) {
    if (!fd_) return;
    const std::string line =
        message.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    // A starter that is gone has nothing to be told.
    [[maybe_unused]] const ssize_t n =
        ::send(fd_.get(), line.data(), line.size(), MSG_NOSIGNAL);
  }
  // A starter that is gone has let it run.
  void WaitForGo() {
    char byte = 0;
    while (fd_ && ::read(fd_.get(), &byte, 1) < 0 && errno == EINTR) {
    }
  }
  void Close() { fd_.reset(); }

 private:
  UniqueFd fd_;
};

Json FromError(const Error& error) {
  return {{"code", static_cast<int>(error.code())},
          {"message", error.message()},
          {"hint", error.hint()},
          {"notes", error.notes()}};
}

bool RestartWanted(const RestartPolicy& policy, int exit_code, int restarts) {
  switch (policy.when) {
    case RestartPolicy::When::kNo:
      return false;
    case RestartPolicy::When::kOnFailure:
      return exit_code != 0 &&
             (policy.max_retries == 0 || restarts < policy.max_retries);
    case RestartPolicy::When::kAlways:
    case RestartPolicy::When::kUnlessStopped:
      break;
  }
  return true;
}

// False: it is to be stopped.
bool Pause(const Monitor& monitor, Milliseconds duration,
           const CancelToken& cancel) {
  for (Milliseconds waited{0}; waited < duration; waited += kTick) {
    if (cancel.cancelled() || monitor.StopWanted()) return false;
    SystemClock().Sleep(std::min(kTick, duration - waited), cancel.fd());
  }
  return !cancel.cancelled() && !monitor.StopWanted();
}

class Supervisor {
 public:
  Supervisor(const Engine& engine, const std::string& id, int channel_fd,
             const CancelToken& cancel)
      : channel_(channel_fd), cancel_(cancel) {
    try {
      monitor_.emplace(engine, engine.containers.Require(id));
      log_ = engine.containers.Directory(monitor_->container().record.id) +
             "/" + kLogFile;
    } catch (const Error& error) {
      channel_.Send(FromError(error));
    }
  }

  void Run() {
    if (!monitor_) return;
    Milliseconds pause = kFirstPause;
    for (;;) {
      const int64_t begin = NowNs();
      const auto result = RunOnce();
      const Config& config = monitor_->container().config;
      if (!result || monitor_->StopWanted() || cancel_.cancelled() ||
          !RestartWanted(config.restart, result->exit_code,
                         monitor_->container().record.restarts)) {
        break;
      }
      if (NowNs() - begin > kGoodRunNs) pause = kFirstPause;
      if (!Pause(*monitor_, pause, cancel_)) break;
      pause = std::min(pause * 2, kLongestPause);
      monitor_->CountRestart();
    }
    monitor_->Finish();
  }

 private:
  // nullopt: it could not be started.
  std::optional<exec::ExitResult> RunOnce() {
    exec::ExecIo io;
    const Container& container = monitor_->container();
    io.terminal = container.config.terminal;
    io.monitor = exec::MonitorSpec{container.record.name, log_,
                                   container.config.interactive};
    io.on_started = [&](const exec::StartedContainer&) {
      channel_.Send({{"created", true}});
      channel_.WaitForGo();
    };
    io.on_running = [&] {
      channel_.Send({{"started", true}});
      channel_.Close();
    };
    try {
      const exec::ExitResult result = monitor_->Run(io, cancel_);
      if (result.start_error.empty()) return result;
      channel_.Send(
          {{"exit", result.exit_code}, {"message", result.start_error}});
    } catch (const Error& error) {
      channel_.Send(FromError(error));
    }
    return std::nullopt;
  }

  Channel channel_;
  const CancelToken& cancel_;
  std::optional<Monitor> monitor_;
  std::string log_;
};

// Between fork and exec of the monitor: a session of its own, nothing of this
// program's but the channel.
[[noreturn]] void BecomeMonitor(int channel, char* const* argv) {
  ::setsid();
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int number = 1; number < NSIG; ++number) {
    ::sigaction(number, &action, nullptr);
  }
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  // Out of the way of the numbers that are about to be set.
  const int kept = ::fcntl(channel, F_DUPFD_CLOEXEC, 10);
  for (int fd = 0; fd < 3; ++fd) {
    if (::dup2(null, fd) < 0) ::_exit(127);
  }
  if (::dup2(kept, DetachedStart::kChannelFd) < 0 || ::chdir("/") != 0) {
    ::_exit(127);
  }
  ::close_range(DetachedStart::kChannelFd + 1, ~0U, 0);
  ::execv("/proc/self/exe", argv);
  ::_exit(127);
}

}  // namespace

void Supervise(const Engine& engine, const std::string& id, int channel_fd,
               const CancelToken& cancel) {
  ::fcntl(channel_fd, F_SETFD, FD_CLOEXEC);
  Supervisor(engine, id, channel_fd, cancel).Run();
}

DetachedStart::DetachedStart(const std::vector<std::string>& argv) {
  std::vector<char*> pointers;
  for (const std::string& word : argv) {
    pointers.push_back(const_cast<char*>(word.c_str()));
  }
  pointers.push_back(nullptr);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    throw ErrnoError("create", "socket", errno);
  }
  channel_.reset(ends[0]);
  UniqueFd other(ends[1]);
  // Twice, so that the monitor is nobody's child: who starts many containers
  // in one command has no dead ones to bury.
  const pid_t pid = ::fork();
  if (pid < 0) throw ErrnoError("start", "monitor", errno);
  if (pid == 0) {
    const pid_t monitor = ::fork();
    if (monitor != 0) ::_exit(monitor < 0 ? 1 : 0);
    BecomeMonitor(other.get(), pointers.data());
  }
  other.reset();
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
  Take(ReadLine());
}

DetachedStart::~DetachedStart() = default;

std::string DetachedStart::ReadLine() {
  for (;;) {
    const size_t end = pending_.find('\n');
    if (end != std::string::npos) {
      std::string line = pending_.substr(0, end);
      pending_.erase(0, end + 1);
      return line;
    }
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(channel_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || pending_.size() > kMaxLine) return "";
    pending_.append(buffer.data(), static_cast<size_t>(n));
  }
}

bool DetachedStart::Take(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) {
    throw Error(ErrorCode::kHost,
                "the container's monitor ended without a word")
        .WithHint("is the store's directory writable, is memory left?");
  }
  if (json.contains("created") || json.contains("started")) return true;
  const std::string message = json.value("message", "");
  if (json.contains("exit")) {
    failure_.emplace();
    failure_->exit_code = json.value("exit", 125);
    failure_->start_error = message;
    return false;
  }
  Error error(static_cast<ErrorCode>(json.value("code", 5)), message);
  if (const std::string hint = json.value("hint", ""); !hint.empty()) {
    error.WithHint(hint);
  }
  for (const auto& note : json.value("notes", std::vector<std::string>())) {
    error.WithNote(note);
  }
  throw error;
}

void DetachedStart::Go() {
  [[maybe_unused]] const ssize_t n =
      ::send(channel_.get(), "g", 1, MSG_NOSIGNAL);
  Take(ReadLine());
}

}  // namespace imgbuild::container
