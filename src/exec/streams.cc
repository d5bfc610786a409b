#include "exec/streams.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "imgbuild/util/error.h"

namespace imgbuild::exec {

Streams::Streams(const ExecIo& io, uint32_t uid) : io_(io) {
  child_in_ = io.stdin_fd;
  const int direct[2] = {io.stdout_fd, io.stderr_fd};
  int* child[2] = {&child_out_, &child_err_};
  for (int i = 0; i < 2; ++i) {
    *child[i] = direct[i];
    if (direct[i] >= 0 || !io.on_output) continue;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw ErrnoError("create", "pipe", errno);
    read_[i].reset(ends[0]);
    write_[i].reset(ends[1]);
    *child[i] = ends[1];
    if (uid != 0)
      static_cast<void>(fchown(ends[1], uid, static_cast<gid_t>(-1)));
  }
}

void Streams::CloseChildSide() {
  for (UniqueFd& fd : write_) fd.reset();
}

void Streams::Deliver(int stream, int fd, bool* open) {
  std::array<char, 65536> buffer;
  ssize_t n = read(fd, buffer.data(), buffer.size());
  if (n < 0) {
    if (errno == EINTR || errno == EAGAIN) return;
    throw ErrnoError("read", "output of the container", errno);
  }
  if (n == 0) {
    *open = false;
    return;
  }
  io_.on_output(stream, {buffer.data(), static_cast<size_t>(n)});
}

bool Streams::Pump(Launched& process, const CancelToken& cancel) {
  bool open[2] = {static_cast<bool>(read_[0]), static_cast<bool>(read_[1])};
  bool running = true;
  // The pid namespace is empty when its first process has ended, so nobody is
  // left to write: the pipes end too.
  while (running || open[0] || open[1]) {
    pollfd fds[4] = {{open[0] ? read_[0].get() : -1, POLLIN, 0},
                     {open[1] ? read_[1].get() : -1, POLLIN, 0},
                     {running ? process.pidfd() : -1, POLLIN, 0},
                     {running ? cancel.fd() : -1, POLLIN, 0}};
    if (poll(fds, 4, -1) < 0) {
      if (errno == EINTR) continue;
      throw ErrnoError("wait for", "container", errno);
    }
    if (fds[3].revents != 0) return false;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].revents != 0) Deliver(i + 1, read_[i].get(), &open[i]);
    }
    if (fds[2].revents != 0) running = false;
  }
  return true;
}

}  // namespace imgbuild::exec
