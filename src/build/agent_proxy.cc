#include "build/agent_proxy.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

// draft-miller-ssh-agent.
constexpr unsigned char kRequestIdentities = 11;
constexpr unsigned char kSignRequest = 13;
constexpr std::string_view kFailure("\0\0\0\1\5", 5);
constexpr size_t kLengthBytes = 4;
constexpr size_t kMaxConnections = 64;

UniqueFd NewSocket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) throw ErrnoError("make a socket", "", errno);
  return fd;
}

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    throw Error(
        ErrorCode::kHost,
        fmt::format("the path of a socket is too long: {}", Quoted(path)));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

// False at the end of the stream, on an error, and when `stop` is set.
bool ReadSome(int fd, const CancelToken& stop, std::string& out) {
  for (;;) {
    pollfd fds[] = {{fd, POLLIN, 0}, {stop.fd(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (stop.cancelled()) return false;
    char buffer[16 * 1024];
    const ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) return false;
    out.append(buffer, static_cast<size_t>(n));
    return true;
  }
}

bool WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// One whole message from the agent; false when there is none.
bool ReadReply(int fd, const CancelToken& stop, std::string& reply) {
  reply.clear();
  for (;;) {
    if (const auto message = NextAgentRequest(reply)) {
      reply.resize(message->size);
      return true;
    }
    if (!ReadSome(fd, stop, reply)) return false;
  }
}

}  // namespace

std::optional<AgentRequest> NextAgentRequest(std::string_view bytes) {
  if (bytes.size() < kLengthBytes) return std::nullopt;
  uint32_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    length = length << 8 | static_cast<unsigned char>(bytes[i]);
  }
  if (length == 0 || length > kMaxAgentMessage) {
    throw Error(ErrorCode::kStep,
                fmt::format("a message of {} bytes to the ssh agent", length));
  }
  if (bytes.size() < kLengthBytes + length) return std::nullopt;
  const auto type = static_cast<unsigned char>(bytes[kLengthBytes]);
  return AgentRequest{kLengthBytes + length,
                      type == kRequestIdentities || type == kSignRequest};
}

UniqueFd ConnectUnix(const std::string& path) {
  UniqueFd fd = NewSocket();
  const sockaddr_un address = AddressOf(path);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                sizeof(address)) != 0) {
    throw ErrnoError("connect to", path, errno);
  }
  return fd;
}

struct AgentProxy::Connection {
  UniqueFd client;
  std::atomic<bool> done{false};
  std::thread thread;
};

AgentProxy::AgentProxy(const std::string& path, std::string upstream)
    : upstream_(std::move(upstream)), listener_(NewSocket()) {
  const sockaddr_un address = AddressOf(path);
  if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address),
             sizeof(address)) != 0 ||
      ::listen(listener_.get(), 16) != 0) {
    throw ErrnoError("listen on", path, errno);
  }
  thread_ = std::thread([this] { Accept(); });
}

AgentProxy::~AgentProxy() {
  stop_.Cancel();
  thread_.join();
}

void AgentProxy::Accept() {
  for (;;) {
    pollfd fds[] = {{listener_.get(), POLLIN, 0}, {stop_.fd(), POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) break;
    if (stop_.cancelled()) break;
    UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    for (auto it = connections_.begin(); it != connections_.end();) {
      if (it->done) {
        it->thread.join();
        it = connections_.erase(it);
      } else {
        ++it;
      }
    }
    // Too many at once: this one is closed.
    if (!client || connections_.size() >= kMaxConnections) continue;
    Connection& connection = connections_.emplace_back();
    connection.client = std::move(client);
    connection.thread = std::thread([this, &connection] {
      try {
        Serve(connection);
      } catch (const Error&) {
        // A client that breaks the protocol, an agent that is gone: the
        // client sees the end of the stream.
      }
      ::shutdown(connection.client.get(), SHUT_RDWR);
      connection.done = true;
    });
  }
  for (Connection& connection : connections_) connection.thread.join();
}

void AgentProxy::Serve(Connection& connection) {
  const int client = connection.client.get();
  UniqueFd agent;
  std::string bytes;
  std::string reply;
  for (;;) {
    const auto request = NextAgentRequest(bytes);
    if (!request) {
      if (!ReadSome(client, stop_, bytes)) return;
      continue;
    }
    if (request->allowed) {
      if (!agent) agent = ConnectUnix(upstream_);
      if (!WriteAll(agent.get(), bytes.substr(0, request->size))) return;
      if (!ReadReply(agent.get(), stop_, reply)) return;
      if (!WriteAll(client, reply)) return;
    } else if (!WriteAll(client, kFailure)) {
      return;
    }
    bytes.erase(0, request->size);
  }
}

}  // namespace imgbuild::build
