#include "support/http_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <stdexcept>

#include "imgbuild/util/strings.h"

namespace imgbuild::testing {
namespace {

bool SendAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

// The next close sends RST instead of FIN.
void ResetOnClose(int fd) {
  const linger option{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &option, sizeof option);
}

}  // namespace

HttpServer::HttpServer(TestHandler handler) : handler_(std::move(handler)) {
  listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address;
  std::array<int, 2> pipe_fds{};
  if (!listener_ || ::bind(listener_.get(), generic, length) != 0 ||
      ::listen(listener_.get(), 64) != 0 ||
      ::getsockname(listener_.get(), generic, &length) != 0 ||
      ::pipe2(pipe_fds.data(), O_CLOEXEC) != 0) {
    throw std::runtime_error("a test's HTTP server cannot listen");
  }
  stop_read_.reset(pipe_fds[0]);
  stop_write_.reset(pipe_fds[1]);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

HttpServer::~HttpServer() {
  stop_write_.reset();
  acceptor_.join();
  for (Connection& connection : connections_) {
    ::shutdown(connection.fd.get(), SHUT_RDWR);
    connection.thread.join();
  }
}

std::string HttpServer::HostPort() const {
  return "127.0.0.1:" + std::to_string(port_);
}

std::vector<TestRequest> HttpServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::vector<std::string> HttpServer::Log() const {
  std::vector<std::string> out;
  for (const TestRequest& request : requests()) {
    out.push_back(request.method + " " + request.Target());
  }
  return out;
}

void HttpServer::Accept() {
  for (;;) {
    std::array<pollfd, 2> fds = {pollfd{listener_.get(), POLLIN, 0},
                                 pollfd{stop_read_.get(), POLLIN, 0}};
    if (::poll(fds.data(), fds.size(), -1) < 0) continue;
    if (fds[1].revents != 0) return;
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    connections_.emplace_back();
    Connection& connection = connections_.back();
    connection.fd.reset(fd);
    connection.thread = std::thread([this, fd] { Serve(fd); });
  }
}

void HttpServer::Serve(int fd) {
  std::string pending;
  while (ServeOne(fd, &pending)) {
  }
  // The descriptor itself is closed by the destructor; the peer learns now.
  // dup2 of nothing would lose a pending RST, so linger decides in shutdown.
  linger option{};
  socklen_t length = sizeof option;
  ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &option, &length);
  if (option.l_onoff != 0) {
    sockaddr unspecified{};
    unspecified.sa_family = AF_UNSPEC;
    ::connect(fd, &unspecified, sizeof unspecified);  // sends RST
  } else {
    ::shutdown(fd, SHUT_RDWR);
  }
}

bool HttpServer::ServeOne(int fd, std::string* pending) {
  std::array<char, 65536> buffer{};
  const auto read_more = [&] {
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return false;
    pending->append(buffer.data(), static_cast<size_t>(n));
    return true;
  };
  size_t end = 0;
  while ((end = pending->find("\r\n\r\n")) == std::string::npos) {
    // A TLS handshake: hang up, as a server of plain HTTP does.
    if (pending->starts_with('\x16')) return false;
    if (!read_more()) return false;
  }
  const std::vector<std::string> lines = Split(pending->substr(0, end), '\n');
  pending->erase(0, end + 4);
  TestRequest request;
  request.origin = Origin();
  const std::vector<std::string> first = Split(Trim(lines[0]), ' ');
  if (first.size() != 3) return false;
  request.method = first[0];
  const size_t question = first[1].find('?');
  request.path = first[1].substr(0, question);
  if (question != std::string::npos) {
    request.query = first[1].substr(question + 1);
  }
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    request.headers.emplace_back(
        lines[i].substr(0, colon),
        std::string(Trim(std::string_view(lines[i]).substr(colon + 1))));
  }
  const size_t length = ParseUint(request.Header("Content-Length")).value_or(0);
  while (pending->size() < length) {
    if (!read_more()) return false;
  }
  request.body = pending->substr(0, length);
  pending->erase(0, length);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  return Answer(fd, request, handler_(request));
}

void HttpServer::Stall(int fd) {
  std::array<pollfd, 2> fds = {pollfd{fd, POLLIN, 0},
                               pollfd{stop_read_.get(), POLLIN, 0}};
  ::poll(fds.data(), fds.size(), -1);
}

bool HttpServer::Answer(int fd, const TestRequest& request,
                        const TestResponse& response) {
  if (response.no_answer) {
    ResetOnClose(fd);
    return false;
  }
  if (response.garbage) {
    SendAll(fd, "\x15\x03\x01 this is no HTTP\r\n\r\n");
    return false;
  }
  std::string head =
      "HTTP/1.1 " + std::to_string(response.status) + " Status\r\n";
  for (const auto& [name, value] : response.headers) {
    head += name + ": " + value + "\r\n";
  }
  const bool no_body = request.method == "HEAD" || response.status == 204 ||
                       response.status == 304;
  if (response.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (!response.omit_length && response.status != 204) {
    head += "Content-Length: " +
            std::to_string(
                response.declared_length.value_or(response.body.size())) +
            "\r\n";
  }
  head += "\r\n";
  if (!SendAll(fd, head)) return false;
  if (no_body) return true;
  const size_t limit = std::min(response.cut_after.value_or(SIZE_MAX),
                                response.stall_after.value_or(SIZE_MAX));
  const std::string_view body =
      std::string_view(response.body).substr(0, limit);
  if (response.chunked && !body.empty()) {
    std::array<char, 32> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", body.size());
    if (!SendAll(fd, size.data())) return false;
  }
  if (!SendAll(fd, body)) return false;
  if (response.stall_after) {
    Stall(fd);
    return false;
  }
  if (response.cut_after) {
    // An orderly close in the middle: the length was announced. (A reset
    // could overtake what was sent.)
    return false;
  }
  if (response.chunked) {
    return SendAll(fd, body.empty() ? "0\r\n\r\n" : "\r\n0\r\n\r\n");
  }
  return !response.omit_length && !response.declared_length;
}

}  // namespace imgbuild::testing
