#include "container/inside.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "imgbuild/exec/user.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::container {
namespace {

void SetEnv(std::vector<std::string>& env, const std::string& pair) {
  const std::string name = pair.substr(0, pair.find('=') + 1);
  std::erase_if(env, [&](const std::string& e) { return e.starts_with(name); });
  env.push_back(pair);
}

struct Inside {
  exec::Running running;
  exec::InsideSpec spec;
  std::optional<exec::ExitResult> failure;
};

// The container's own environment, user and directory, then the options'.
Inside Prepare(Containers& containers, const Container& container,
               const ExecOptions& options) {
  if (container.status.state == State::kPaused) {
    throw Error(ErrorCode::kUsage,
                fmt::format("Container {} is paused, unpause the container "
                            "before exec",
                            container.record.name));
  }
  Inside inside{containers.RequireRunning(container), {}, {}};
  const UniqueFd root = inside.running.OpenRoot();
  const DirTree tree(root.get());
  const oci::ImageConfig image = containers.ImageConfigOf(container.record);
  Config config = container.config;
  config.command = options.command;
  config.entrypoint = "";
  config.terminal = options.terminal;
  config.volumes.clear();
  if (!options.working_dir.empty()) config.working_dir = options.working_dir;
  if (!options.user.empty()) {
    config.user = options.user;
    config.groups.clear();
  }
  exec::ProcessSpec process = MakeProcess(image, config, tree);
  for (const std::string& pair : options.env) SetEnv(process.env, pair);
  if (std::ranges::none_of(process.env, [](const std::string& e) {
        return e.starts_with("HOME=");
      })) {
    process.env.push_back("HOME=" +
                          (process.home.empty() ? "/" : process.home));
  }
  inside.spec.args = process.args;
  inside.spec.env = process.env;
  inside.spec.cwd = process.cwd;
  inside.spec.user = process.user;
  inside.spec.no_new_privileges = process.no_new_privileges;
  inside.spec.terminal = options.terminal;
  inside.spec.privileged = options.privileged;
  inside.failure = inside.running.CheckInside(inside.spec);
  return inside;
}

}  // namespace

exec::ExitResult ExecInside(Containers& containers, const Container& container,
                            const ExecOptions& options) {
  Inside inside = Prepare(containers, container, options);
  if (inside.failure) return *inside.failure;
  if (options.detach) {
    // By a process in between that nobody waits for: the command must outlive
    // this program, and what Start() makes dies with its starter.
    const pid_t pid = ::fork();
    if (pid < 0) throw ErrnoError("start process", "exec", errno);
    if (pid == 0) {
      ::setsid();
      try {
        inside.running.StartInside(inside.spec).Wait();
      } catch (const Error&) {
      }
      ::_exit(0);
    }
    return {};
  }
  inside.spec.stdin_fd = options.interactive ? 0 : -1;
  inside.spec.stdout_fd = 1;
  inside.spec.stderr_fd = 2;
  Process process = inside.running.StartInside(inside.spec);
  const ExitStatus status = process.Wait();
  exec::ExitResult result;
  result.signal = status.signal;
  result.exit_code = status.signal != 0 ? 128 + status.signal : status.code;
  return result;
}

CapturedExec ExecCaptured(Containers& containers, const Container& container,
                          const ExecOptions& options, int64_t timeout_ns,
                          size_t max_output, const CancelToken& cancel) {
  CapturedExec done;
  Inside inside = Prepare(containers, container, options);
  if (inside.failure) {
    done.exit_code = inside.failure->exit_code;
    done.output = inside.failure->start_error;
    return done;
  }
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw ErrnoError("create", "pipe", errno);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  inside.spec.stdout_fd = write_end.get();
  inside.spec.stderr_fd = write_end.get();
  Process process = inside.running.StartInside(inside.spec);
  write_end.reset();
  const int64_t deadline = NowNs() + timeout_ns;
  for (;;) {
    const int64_t left_ms = (deadline - NowNs()) / 1'000'000;
    pollfd fds[2] = {{read_end.get(), POLLIN, 0}, {cancel.fd(), POLLIN, 0}};
    const int ready = ::poll(
        fds, 2, static_cast<int>(std::clamp<int64_t>(left_ms, 0, 3'600'000)));
    if (ready < 0 && errno == EINTR) continue;
    if (fds[1].revents != 0) cancel.Check();
    if (ready <= 0) {
      if (NowNs() < deadline) continue;
      done.timed_out = true;
      // Passed on to the command by the runtime, which SIGKILL would not be.
      process.Kill(SIGTERM);
      break;
    }
    std::array<char, 4096> buffer;
    const ssize_t n = ::read(read_end.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    const size_t take =
        std::min(static_cast<size_t>(n), max_output - done.output.size());
    done.output.append(buffer.data(), take);
  }
  const ExitStatus status = process.Wait();
  done.exit_code = status.signal != 0 ? 128 + status.signal : status.code;
  return done;
}

}  // namespace imgbuild::container
