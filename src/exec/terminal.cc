#include "exec/terminal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "imgbuild/util/error.h"

#include "exec/fd_passing.h"
#include "exec/scratch_dir.h"

namespace imgbuild::exec {

RawMode::RawMode(int tty_fd) {
  if (tty_fd < 0 || tcgetattr(tty_fd, &saved_) != 0) return;
  termios raw = saved_;
  cfmakeraw(&raw);
  if (tcsetattr(tty_fd, TCSANOW, &raw) == 0) tty_fd_ = tty_fd;
}

RawMode::~RawMode() {
  if (tty_fd_ >= 0) tcsetattr(tty_fd_, TCSANOW, &saved_);
}

ConsoleSocket::ConsoleSocket(const std::string& state_dir)
    : dir_(MakeScratchDir(state_dir)), path_(dir_.path() + "/tty") {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) {
    throw Error(ErrorCode::kHost,
                fmt::format("create terminal socket \"{}\": the path is longer "
                            "than 107 bytes",
                            path_))
        .WithHint("choose a shorter --root");
  }
  std::memcpy(address.sun_path, path_.c_str(), path_.size() + 1);
  listener_.reset(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener_ ||
      bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address),
           sizeof address) != 0 ||
      chmod(path_.c_str(), 0600) != 0 || listen(listener_.get(), 1) != 0) {
    throw ErrnoError("create terminal socket", path_, errno);
  }
}

UniqueFd ConsoleSocket::Receive() {
  UniqueFd peer(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!peer) throw ErrnoError("accept", "container's terminal", errno);
  UniqueFd master = ReceiveFd(peer.get());
  if (!master) throw ErrnoError("receive", "container's terminal", errno);
  fcntl(master.get(), F_SETFL, fcntl(master.get(), F_GETFL) | O_NONBLOCK);
  return master;
}

std::optional<winsize> WindowSize(int tty_fd) {
  winsize size{};
  if (tty_fd < 0 || ioctl(tty_fd, TIOCGWINSZ, &size) != 0) return std::nullopt;
  return size;
}

}  // namespace imgbuild::exec
