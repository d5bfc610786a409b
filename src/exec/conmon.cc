#include "exec/conmon.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "imgbuild/exec/running.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "exec/exit_status.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxReport = 64 << 10;
constexpr int kKilled = 137;

std::string FindConmon() {
  if (auto path = FindProgram("conmon")) return *path;
  throw Error(ErrorCode::kHost,
              "conmon is not installed, and a detached container needs it")
      .WithHint("apt-get install conmon");
}

std::vector<std::string> Command(const std::string& dir, const Runtime& runtime,
                                 const std::string& id,
                                 const MonitorSpec& monitor, bool terminal) {
  std::vector<std::string> argv = {
      FindConmon(),
      // It must stay the first process.
      "--sync", "--cid", id, "--cuuid", id, "--name", monitor.name, "--runtime",
      runtime.path, "--bundle", dir, "--container-pidfile", dir + "/pidfile",
      "--log-path", "k8s-file:" + monitor.log_path, "--exit-dir", dir + "/exit",
      "--full-attach", "--no-new-keyring", "--no-sync-log"};
  const auto runtime_flag = [&](const std::string& text) {
    argv.insert(argv.end(), {"--runtime-arg", text});
  };
  runtime_flag("--root");
  runtime_flag(dir + "/state");
  if (runtime.kind == RuntimeKind::kCrun) {
    runtime_flag("--cgroup-manager=disabled");
  }
  if (terminal) {
    // Whoever leaves may come back, and type again.
    argv.insert(argv.end(), {"--terminal", "--leave-stdin-open"});
  }
  if (monitor.keep_stdin) argv.emplace_back("--stdin");
  return argv;
}

std::string ReadAllOf(int fd) {
  if (::lseek(fd, 0, SEEK_SET) != 0) return "";
  return fs::ReadFd(fd, kMaxReport, "messages of conmon");
}

// Its log line "[conmon:e]: …" says nothing that the runtime did not say.
std::string CleanMessages(const std::string& text) {
  std::vector<std::string> lines;
  for (const std::string& line : Split(text, '\n')) {
    if (!line.empty() && line.find("oom_score_adj") == std::string::npos) {
      lines.push_back(line);
    }
  }
  return Join(lines, "; ");
}

// Waits for one of two descriptors; false: the second (a cancellation).
bool WaitFor(int fd, const CancelToken& cancel) {
  for (;;) {
    pollfd fds[2] = {{fd, POLLIN, 0}, {cancel.fd(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      throw ErrnoError("wait for", "conmon", errno);
    }
    if (fds[0].revents != 0) return true;
    if (fds[1].revents != 0) return false;
  }
}

}  // namespace

Conmon::Conmon(LaunchPlan& plan, const Runtime& runtime, const std::string& id,
               const MonitorSpec& monitor, bool terminal)
    : runtime_name_(runtime.name()) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw ErrnoError("create", "pipe", errno);
  sync_.reset(ends[0]);
  UniqueFd report(ends[1]);
  messages_.reset(::memfd_create("conmon", MFD_CLOEXEC));
  if (!messages_) throw ErrnoError("create", "conmon's messages", errno);
  plan.argv = Command(plan.dir, runtime, id, monitor, terminal);
  plan.directories.emplace_back("exit");
  // For the runtime's console socket.
  plan.env.push_back("TMPDIR=" + plan.dir);
  plan.env.push_back(fmt::format("_OCI_SYNCPIPE={}", report.get()));
  plan.keep_fds = {report.get()};
  plan.stderr_fd = messages_.get();
  process_.emplace(Launch(plan));
  // Our own child, not yet waited for: the number is still its own.
  run_dir_ = fs::OpenDir(
      AT_FDCWD, fmt::format("/proc/{}/root{}", process_->pid(), plan.dir));
}

std::optional<ExitResult> Conmon::WaitCreated(const CancelToken& cancel) {
  std::string text;
  while (text.find('\n') == std::string::npos) {
    if (!WaitFor(sync_.get(), cancel)) {
      process_->Signal(SIGKILL);
      cancel.Check();
    }
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(sync_.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || text.size() > kMaxReport) break;
    text.append(buffer.data(), static_cast<size_t>(n));
  }
  const auto report = nlohmann::json::parse(text, nullptr, false);
  std::string message;
  if (report.is_object()) {
    const auto pid = report.find("pid");
    if (pid != report.end() && pid->is_number_integer() && *pid > 0) {
      return std::nullopt;
    }
    const auto said = report.find("message");
    if (said != report.end() && said->is_string()) {
      message = said->get<std::string>();
    }
  }
  process_->Signal(SIGKILL);
  process_->Wait();
  if (message.empty()) message = CleanMessages(ReadAllOf(messages_.get()));
  return DecodeStartFailure(message, runtime_name_);
}

void Conmon::Start(const StartedContainer& started) {
  const auto running = Running::Find(started);
  if (!running) {
    throw Error(ErrorCode::kHost, "the container ended before it was started");
  }
  running->StartCreated();
}

bool Conmon::Wait(const CancelToken& cancel) {
  const bool ended = WaitFor(process_->pidfd(), cancel);
  if (!ended) process_->Signal(SIGKILL);
  process_->Wait();
  return ended;
}

ExitResult Conmon::Result() const {
  ExitResult result;
  result.exit_code = kKilled;  // conmon itself was killed, and all with it
  const UniqueFd dir = fs::OpenDir(run_dir_.get(), "exit");
  for (const std::string& name : fs::ListDir(dir.get())) {
    if (name.starts_with('.')) continue;
    const auto code = ParseInt(Trim(fs::ReadFile(dir.get(), name, kMaxReport)));
    if (code) result.exit_code = static_cast<int>(*code);
  }
  if (result.exit_code > 128 && result.exit_code <= 128 + SIGRTMAX) {
    result.signal = result.exit_code - 128;
  }
  return result;
}

}  // namespace imgbuild::exec
