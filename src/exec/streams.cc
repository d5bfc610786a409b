#include "exec/streams.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::exec {
namespace {

// How often the user's window size is looked at. A SIGWINCH handler would be
// the whole program's.
constexpr int kWindowIntervalMs = 100;
constexpr char kEndOfTransmission = 4;

void MakePipe(UniqueFd& read_end, UniqueFd& write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw ErrnoError("create", "pipe", errno);
  read_end.reset(ends[0]);
  write_end.reset(ends[1]);
}

}  // namespace

Streams::Streams(const ExecIo& io, const std::string& socket_dir)
    : io_(io), signals_open_(io.signal_fd >= 0) {
  if (io.terminal) {
    console_.emplace(socket_dir);
    input_open_ = io.stdin_fd >= 0;
    raw_.emplace(io.user_tty_fd);
    return;
  }
  child_in_ = io.stdin_fd;
  child_out_ = io.stdout_fd;
  child_err_ = io.stderr_fd;
  if (child_out_ < 0 && io.on_output) {
    MakePipe(out_, out_write_);
    child_out_ = out_write_.get();
  }
  if (child_err_ < 0 && io.on_output) {
    MakePipe(err_, err_write_);
    child_err_ = err_write_.get();
  }
}

void Streams::CloseChildSide() {
  out_write_.reset();
  err_write_.reset();
}

void Streams::Output(int stream, std::string_view bytes) {
  if (io_.terminal && io_.stdout_fd >= 0) {
    fs::WriteAll(io_.stdout_fd, AsBytes(bytes), "standard output");
  } else if (io_.on_output) {
    io_.on_output(stream, bytes);
  }
}

void Streams::Deliver(int stream, UniqueFd& fd) {
  std::array<char, 65536> buffer;
  ssize_t n = read(fd.get(), buffer.data(), buffer.size());
  if (n > 0) {
    Output(stream, {buffer.data(), static_cast<size_t>(n)});
    return;
  }
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  // A terminal whose last user has gone reads as EIO.
  if (n < 0 && !(io_.terminal && errno == EIO)) {
    throw ErrnoError("read", "output of the container", errno);
  }
  fd.reset();
}

void Streams::ReadInput() {
  std::array<char, 4096> buffer;
  ssize_t n = read(io_.stdin_fd, buffer.data(), buffer.size());
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    // What a terminal has for an end of file.
    pending_input_ += kEndOfTransmission;
    input_open_ = false;
    return;
  }
  pending_input_.append(buffer.data(), static_cast<size_t>(n));
}

void Streams::WriteInput() {
  ssize_t n = write(out_.get(), pending_input_.data(), pending_input_.size());
  if (n > 0) {
    pending_input_.erase(0, static_cast<size_t>(n));
  } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
    pending_input_.clear();
    input_open_ = false;
  }
}

void Streams::FollowWindow() {
  std::optional<winsize> now = WindowSize(io_.user_tty_fd);
  if (!now || !out_) return;
  if (window_ && window_->ws_row == now->ws_row &&
      window_->ws_col == now->ws_col) {
    return;
  }
  window_ = now;
  ioctl(out_.get(), TIOCSWINSZ, &*now);
}

void Streams::PassSignals(Launched& process) {
  std::array<unsigned char, 64> numbers;
  ssize_t n = read(io_.signal_fd, numbers.data(), numbers.size());
  if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
    signals_open_ = false;
  }
  // A runtime passes on what it gets; SIGKILL ends it and, with its pid
  // namespace, the container.
  for (ssize_t i = 0; i < n; ++i)
    process.Signal(numbers[static_cast<size_t>(i)]);
}

bool Streams::Pump(Launched& process, const CancelToken& cancel) {
  bool running = true;
  // The pid namespace is empty when its first process has ended, so nobody is
  // left to write: the pipes end too.
  while (running || out_ || err_) {
    short master_events =
        io_.terminal && !pending_input_.empty() ? POLLIN | POLLOUT : POLLIN;
    bool take_input = running && out_ && input_open_ && pending_input_.empty();
    pollfd fds[7] = {
        {out_ ? out_.get() : -1, master_events, 0},
        {err_ ? err_.get() : -1, POLLIN, 0},
        {running ? process.pidfd() : -1, POLLIN, 0},
        {running ? cancel.fd() : -1, POLLIN, 0},
        {running && console_ && !out_ ? console_->fd() : -1, POLLIN, 0},
        {take_input ? io_.stdin_fd : -1, POLLIN, 0},
        {running && signals_open_ ? io_.signal_fd : -1, POLLIN, 0}};
    bool follow = io_.terminal && io_.user_tty_fd >= 0;
    if (poll(fds, 7, follow ? kWindowIntervalMs : -1) < 0) {
      if (errno == EINTR) continue;
      throw ErrnoError("wait for", "container", errno);
    }
    if (fds[3].revents != 0) return false;
    if ((fds[0].revents & POLLOUT) != 0) WriteInput();
    if ((fds[0].revents & ~POLLOUT) != 0) Deliver(1, out_);
    if (fds[1].revents != 0) Deliver(2, err_);
    if (fds[2].revents != 0) running = false;
    if (fds[4].revents != 0) out_ = console_->Receive();
    if (fds[5].revents != 0) ReadInput();
    if (fds[6].revents != 0) PassSignals(process);
    if (follow) FollowWindow();
  }
  return true;
}

}  // namespace imgbuild::exec
