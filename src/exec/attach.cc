#include "imgbuild/exec/attach.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "exec/terminal.h"

namespace imgbuild::exec {
namespace {

constexpr int kWindowIntervalMs = 100;
// conmon's packets: one byte that names the stream, and the bytes.
constexpr char kStderrPacket = 3;
constexpr size_t kMaxPacket = 64 << 10;
constexpr size_t kMaxInput = 8 << 10;

// Passes input on, but for the keys that mean "let me go".
class KeyFilter {
 public:
  explicit KeyFilter(const std::string& keys) : keys_(keys) {}
  // What is to be sent; `detach` is set once all keys came in a row.
  std::string Pass(std::string_view input, bool* detach) {
    std::string out;
    for (const char c : input) {
      if (keys_.empty() || c != keys_[matched_]) {
        out += keys_.substr(0, matched_);
        matched_ = 0;
        if (!keys_.empty() && c == keys_[0]) {
          matched_ = 1;
        } else {
          out += c;
        }
      } else {
        ++matched_;
      }
      if (!keys_.empty() && matched_ == keys_.size()) {
        *detach = true;
        return out;
      }
    }
    return out;
  }

 private:
  const std::string keys_;
  size_t matched_ = 0;
};

// A whole packet. Waiting is fine: the reader is conmon.
void Send(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kMaxInput);
    const ssize_t n = ::send(socket, part.data(), part.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;  // it has ended; the reading side tells
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

class Session {
 public:
  Session(int socket, int control, const AttachIo& io)
      : socket_(socket),
        control_(control),
        io_(io),
        raw_(io.terminal ? io.stdin_fd : -1),
        keys_(io.terminal && ::isatty(io.stdin_fd) == 1 ? io.detach_keys : ""),
        input_open_(io.stdin_fd >= 0) {}

  Attachment::End Run(const CancelToken& cancel) {
    const bool follow = io_.terminal && io_.stdin_fd >= 0;
    for (;;) {
      if (follow) FollowWindow();
      pollfd fds[3] = {{socket_, POLLIN, 0},
                       {input_open_ ? io_.stdin_fd : -1, POLLIN, 0},
                       {cancel.fd(), POLLIN, 0}};
      if (::poll(fds, 3, follow ? kWindowIntervalMs : -1) < 0) {
        if (errno == EINTR) continue;
        throw ErrnoError("wait for", "container", errno);
      }
      if (fds[2].revents != 0) cancel.Check();
      if (fds[0].revents != 0 && !TakeOutput()) {
        return Attachment::End::kContainer;
      }
      if (fds[1].revents != 0 && !TakeInput()) {
        return Attachment::End::kDetached;
      }
    }
  }

 private:
  bool TakeOutput() {
    std::array<char, kMaxPacket> packet;
    const ssize_t n = ::recv(socket_, packet.data(), packet.size(), 0);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) return false;
    const int to = packet[0] == kStderrPacket ? io_.stderr_fd : io_.stdout_fd;
    if (to >= 0 && n > 1) {
      fs::WriteAll(to, AsBytes({packet.data() + 1, static_cast<size_t>(n) - 1}),
                   "output");
    }
    return true;
  }

  // False: the user wants to leave.
  bool TakeInput() {
    std::array<char, kMaxInput> buffer;
    const ssize_t n = ::read(io_.stdin_fd, buffer.data(), buffer.size());
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n <= 0) {
      input_open_ = false;
      ::shutdown(socket_, SHUT_WR);
      return true;
    }
    bool detach = false;
    Send(socket_, keys_.Pass({buffer.data(), static_cast<size_t>(n)}, &detach));
    return !detach;
  }

  void FollowWindow() {
    const auto now = WindowSize(io_.stdin_fd);
    if (!now || control_ < 0) return;
    if (window_ && window_->ws_row == now->ws_row &&
        window_->ws_col == now->ws_col) {
      return;
    }
    window_ = now;
    const std::string text = fmt::format("1 {} {}\n", now->ws_row, now->ws_col);
    // The size is a courtesy; a pipe that nobody reads any more is no error.
    [[maybe_unused]] const ssize_t n =
        ::write(control_, text.data(), text.size());
  }

  int socket_;
  int control_;
  const AttachIo& io_;
  RawMode raw_;
  KeyFilter keys_;
  bool input_open_;
  std::optional<winsize> window_;
};

}  // namespace

Attachment::Attachment(const Running& running) {
  const UniqueFd dir = running.OpenRunDir();
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/attach", dir.get());
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  socket_.reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket_ ||
      ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof address) != 0) {
    if (errno == ENOENT) {
      throw Error(ErrorCode::kHost,
                  "nobody can attach to this container: it runs in the "
                  "foreground of another command")
          .WithHint("run it with -d, or look at its output with logs");
    }
    throw ErrnoError("attach to", "container", errno);
  }
  control_.reset(::openat(dir.get(), "ctl", O_WRONLY | O_CLOEXEC | O_NONBLOCK));
}

Attachment::~Attachment() = default;

Attachment::End Attachment::Run(const AttachIo& io, const CancelToken& cancel) {
  return Session(socket_.get(), control_.get(), io).Run(cancel);
}

std::string ParseDetachKeys(const std::string& text) {
  std::string out;
  if (text.empty()) return out;
  for (const std::string& key : Split(text, ',')) {
    if (key.size() == 1) {
      out += key;
      continue;
    }
    const std::string name = ToLower(key);
    if (name.size() == 6 && name.starts_with("ctrl-")) {
      const char c = name[5];
      if (c >= 'a' && c <= 'z') {
        out += static_cast<char>(c - 'a' + 1);
        continue;
      }
      const size_t at = std::string_view("@[\\]^_").find(c);
      constexpr char kCodes[] = {0, 27, 28, 29, 30, 31};
      if (at != std::string_view::npos) {
        out += kCodes[at];
        continue;
      }
    }
    throw Error(ErrorCode::kUsage,
                fmt::format("invalid detach keys {}", Quoted(text)))
        .WithHint("letters and ctrl-LETTER, with commas: ctrl-p,ctrl-q");
  }
  return out;
}

}  // namespace imgbuild::exec
