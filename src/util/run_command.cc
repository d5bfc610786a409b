// RunCommand: one poll() loop over the three pipes, the end of the child and
// the cancellation.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"

namespace imgbuild {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

Pipe MakePipe() {
  std::array<int, 2> fds;
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) throw ErrnoError("pipe", "", errno);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Our end only: the child's end is another open file and stays blocking.
void SetNonBlocking(const UniqueFd& fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
}

// A program that does not read its input must cost an EPIPE, not our life.
// Only this thread is concerned, and a SIGPIPE it caused is taken back.
class SigpipeBlocked {
 public:
  SigpipeBlocked() {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~SigpipeBlocked() {
    const timespec now = {};
    if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &now);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  SigpipeBlocked(const SigpipeBlocked&) = delete;
  SigpipeBlocked& operator=(const SigpipeBlocked&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

// Writes what the pipe takes; closes it after the last byte or when nobody
// reads any more.
void Feed(UniqueFd* fd, const std::string& input, size_t* offset) {
  const ssize_t n =
      ::write(fd->get(), input.data() + *offset, input.size() - *offset);
  if (n >= 0) {
    *offset += static_cast<size_t>(n);
    if (*offset == input.size()) fd->reset();
  } else if (errno == EPIPE) {
    fd->reset();
  } else if (errno != EAGAIN && errno != EINTR) {
    throw ErrnoError("write", "stdin of a program", errno);
  }
}

// Reads all that is there now; closes at the end. What is over the cap is
// read and dropped, so that the program does not stall.
void Drain(UniqueFd* fd, std::string* out, size_t cap) {
  std::array<char, 16 * 1024> buffer;
  while (*fd) {
    const ssize_t n = ::read(fd->get(), buffer.data(), buffer.size());
    if (n > 0) {
      out->append(buffer.data(),
                  std::min(static_cast<size_t>(n), cap - out->size()));
    } else if (n == 0) {
      fd->reset();
    } else if (errno == EAGAIN) {
      return;
    } else if (errno != EINTR) {
      throw ErrnoError("read", "output of a program", errno);
    }
  }
}

}  // namespace

CommandResult RunCommand(const ProcessOptions& options,
                         const std::string& input, size_t cap,
                         const CancelToken* cancel) {
  const SigpipeBlocked guard;
  Pipe in = input.empty() ? Pipe() : MakePipe();
  Pipe out = MakePipe();
  Pipe err = MakePipe();
  ProcessOptions child = options;
  if (in.read) child.stdin_fd = in.read.get();
  child.stdout_fd = out.write.get();
  child.stderr_fd = err.write.get();
  Process process = Process::Start(child);
  in.read.reset();
  out.write.reset();
  err.write.reset();
  // The end of the child counts, not the end of its outputs: a daemon that it
  // leaves behind may hold them for ever.
  const UniqueFd exited(
      static_cast<int>(::syscall(SYS_pidfd_open, process.pid(), 0)));
  if (!exited) throw ErrnoError("pidfd_open", "", errno);
  for (UniqueFd* fd : {&in.write, &out.read, &err.read}) {
    if (*fd) SetNonBlocking(*fd);
  }

  CommandResult result;
  size_t offset = 0;
  for (bool running = true; running;) {
    std::array<pollfd, 5> fds = {{
        {exited.get(), POLLIN, 0},
        {cancel != nullptr ? cancel->fd() : -1, POLLIN, 0},
        {in.write.get(), POLLOUT, 0},
        {out.read.get(), POLLIN, 0},
        {err.read.get(), POLLIN, 0},
    }};
    if (::poll(fds.data(), fds.size(), -1) < 0) {
      if (errno == EINTR) continue;
      throw ErrnoError("poll", "", errno);
    }
    // Before the outputs are drained, so that this drain sees all of them.
    running = fds[0].revents == 0;
    if (cancel != nullptr && cancel->cancelled()) {
      if (options.new_session) ::kill(-process.pid(), SIGKILL);
      process.Kill(SIGKILL);
      process.Wait();
      cancel->Check();
    }
    if (fds[2].revents != 0) Feed(&in.write, input, &offset);
    Drain(&out.read, &result.out, cap);
    Drain(&err.read, &result.err, cap);
  }
  result.status = process.Wait();
  return result;
}

}  // namespace imgbuild
