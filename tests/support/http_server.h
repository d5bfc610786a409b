// An HTTP/1.1 server on a loopback port, inside the test.
#ifndef IMGBUILD_TESTS_SUPPORT_HTTP_SERVER_H_
#define IMGBUILD_TESTS_SUPPORT_HTTP_SERVER_H_

#include <atomic>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "imgbuild/util/unique_fd.h"

#include "support/http_handler.h"

namespace imgbuild::testing {

// Starts with the constructor, stops with the destructor; one thread a
// connection. The handler is called from those threads.
class HttpServer {
 public:
  explicit HttpServer(TestHandler handler);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  int port() const { return port_; }
  // "127.0.0.1:PORT", and "http://" + that.
  std::string HostPort() const;
  std::string Origin() const { return "http://" + HostPort(); }
  std::vector<TestRequest> requests() const;
  std::vector<std::string> Log() const;  // "GET /v2/"

 private:
  struct Connection {
    UniqueFd fd;
    std::thread thread;
  };
  void Accept();
  void Serve(int fd);
  bool ServeOne(int fd, std::string* pending);
  // False: the connection is over.
  bool Answer(int fd, const TestRequest& request, const TestResponse& response);
  void Stall(int fd);

  TestHandler handler_;
  UniqueFd listener_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<TestRequest> requests_;
  std::list<Connection> connections_;
  std::thread acceptor_;
};

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_HTTP_SERVER_H_
