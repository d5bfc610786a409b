// HTTP, behind a seam: the client above speaks requests and responses, tests
// answer them without a network. The real one is libcurl, loaded when the
// first request is made (it would cost every start 6 ms).
#ifndef IMGBUILD_REGISTRY_TRANSPORT_H_
#define IMGBUILD_REGISTRY_TRANSPORT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"

namespace imgbuild::registry {

using Headers = std::vector<std::pair<std::string, std::string>>;
// First value of a header, name compared without case.
std::optional<std::string> FindHeader(const Headers& headers,
                                      std::string_view name);

// How to reach one host: from certs.d, registries.conf and flags.
struct TlsOptions {
  bool skip_verify = false;
  std::vector<std::string> ca_files;  // in addition to the system's
  std::string client_cert_file;
  std::string client_key_file;
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  Headers headers;
  // The body: `body`, or `body_reader` with exactly body_size bytes.
  std::string body;
  Reader* body_reader = nullptr;
  uint64_t body_size = 0;
  TlsOptions tls;
  // No byte for this long ends the request with a temporary Error.
  std::chrono::milliseconds idle_timeout{30000};
};

struct HttpResponse {
  int status = 0;
  Headers headers;
  std::string url;  // as requested, for messages (no user info in it)
};

// What failed below HTTP. An Error(kRegistry) like any other for those who do
// not look closer; the client does: only a connection that never spoke may be
// tried as plain http, and nobody answering is worth fewer attempts.
class TransportError : public Error {
 public:
  enum class Kind {
    kConnect,   // name, route, refused, connect timeout
    kTls,       // handshake or certificate
    kTransfer,  // reset, idle, cut short
    kOther,     // a response that breaks HTTP or a cap
  };
  TransportError(Kind kind, std::string message)
      : Error(ErrorCode::kRegistry, std::move(message)), kind_(kind) {
    Temporary(kind == Kind::kConnect || kind == Kind::kTransfer);
  }
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

// Decides, when the status and headers are in, where the body goes.
class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  // Called once, also for a response without a body. Returning nullptr
  // collects the first 1 MiB of the body into `*body` and drops the rest.
  virtual Writer* Begin(const HttpResponse& response) = 0;
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  // One exchange; redirects are NOT followed (the client decides what may go
  // along). Body bytes go to the sink's writer, or into `*body` (at most
  // 8 MiB). Any status is a result; TransportError is for what happens below
  // HTTP: DNS, connect, TLS, reset, idle. What the sink's writer or the body
  // reader throws comes out unchanged.
  // Thread-safe; connections are reused across calls and threads.
  virtual HttpResponse Send(const HttpRequest& request, ResponseSink* sink,
                            std::string* body, const CancelToken& cancel) = 0;
};

// Proxies come from HTTP_PROXY, HTTPS_PROXY, NO_PROXY and their lower-case
// forms.
std::unique_ptr<HttpTransport> NewCurlTransport(const std::string& user_agent);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_TRANSPORT_H_
