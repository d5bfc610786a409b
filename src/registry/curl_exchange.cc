#include "registry/curl_exchange.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "imgbuild/util/strings.h"

#include "registry/http_headers.h"
#include "registry/url.h"

namespace imgbuild::registry {
namespace {

constexpr size_t kMaxHeaderBytes = 256u << 10;

// Close-on-exec from the first moment: a RUN step that starts meanwhile must
// not inherit a connection.
curl_socket_t OpenSocket(void*, curlsocktype, curl_sockaddr* address) {
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}

// libcurl does not tell "there is no such name" from "the name server did not
// answer"; only the second is worth another try.
bool NameServerFailed(const std::string& host) {
  addrinfo* list = nullptr;
  const int result = ::getaddrinfo(host.c_str(), nullptr, nullptr, &list);
  if (result == 0) ::freeaddrinfo(list);
  return result == 0 || result == EAI_AGAIN;
}

TransportError TlsFailure(const std::string& message) {
  TransportError error(TransportError::Kind::kTls, message);
  if (message.find("wrong version number") != std::string::npos ||
      message.find("packet length too long") != std::string::npos) {
    error.WithHint(
        "the server seems to speak plain http; allow it with "
        "--insecure-registry HOST");
  } else if (message.find("certificate") != std::string::npos) {
    error.WithHint(
        "put the registry's root certificate into "
        "/etc/docker/certs.d/HOST[:PORT]/ca.crt, or set SSL_CERT_FILE");
  }
  return error;
}

}  // namespace

CurlExchange::CurlExchange(const CurlApi& api, const HttpRequest& request,
                           ResponseSink* sink, std::string* body)
    : api_(api),
      request_(request),
      sink_(sink),
      body_(body),
      error_text_(CURL_ERROR_SIZE, '\0'),
      last_activity_(std::chrono::steady_clock::now()) {
  response_.url = Redacted(request.url);
  if (body_ != nullptr) body_->clear();
}

CurlExchange::~CurlExchange() { api_.slist_free_all(header_list_); }

std::string CurlExchange::What() const {
  return request_.method + " " + response_.url;
}

void CurlExchange::Configure(CURL* easy) {
  const auto& set = api_.easy_setopt;
  set(easy, CURLOPT_URL, request_.url.c_str());
  set(easy, CURLOPT_ERRORBUFFER, error_text_.data());
  set(easy, CURLOPT_HEADERFUNCTION, &CurlExchange::OnHeader);
  set(easy, CURLOPT_HEADERDATA, this);
  set(easy, CURLOPT_WRITEFUNCTION, &CurlExchange::OnBody);
  set(easy, CURLOPT_WRITEDATA, this);
  set(easy, CURLOPT_OPENSOCKETFUNCTION, &OpenSocket);

  const uint64_t size = request_.body_reader != nullptr ? request_.body_size
                                                        : request_.body.size();
  const bool wants_body = size > 0 || request_.method == "PUT" ||
                          request_.method == "POST" ||
                          request_.method == "PATCH";
  if (request_.method == "HEAD") {
    set(easy, CURLOPT_NOBODY, 1L);
  } else if (size > 0) {
    set(easy, CURLOPT_UPLOAD, 1L);
    set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(size));
    set(easy, CURLOPT_READFUNCTION, &CurlExchange::OnRead);
    set(easy, CURLOPT_READDATA, this);
    set(easy, CURLOPT_SEEKFUNCTION, &CurlExchange::OnSeek);
    set(easy, CURLOPT_SEEKDATA, this);
    set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  } else if (wants_body) {
    set(easy, CURLOPT_POST, 1L);
    set(easy, CURLOPT_POSTFIELDSIZE, 0L);
    set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  } else if (request_.method != "GET") {
    set(easy, CURLOPT_CUSTOMREQUEST, request_.method.c_str());
  }

  const auto append = [this](const std::string& line) {
    curl_slist* grown = api_.slist_append(header_list_, line.c_str());
    if (grown == nullptr) throw std::bad_alloc();
    header_list_ = grown;
  };
  bool has_type = false;
  for (const auto& [name, value] : request_.headers) {
    has_type = has_type || EqualsIgnoreCase(name, "Content-Type");
    append(name + ": " + value);
  }
  // libcurl's own ideas: waiting for "100 Continue" costs a second on servers
  // that do not know it, and a form's content type is a lie here.
  append("Expect:");
  if (!has_type) append("Content-Type:");
  set(easy, CURLOPT_HTTPHEADER, header_list_);
}

size_t CurlExchange::OnHeader(char* data, size_t size, size_t count,
                              void* self) {
  auto* exchange = static_cast<CurlExchange*>(self);
  try {
    exchange->HeaderLine({data, size * count});
    return size * count;
  } catch (...) {
    exchange->thrown_ = std::current_exception();
    return 0;
  }
}

void CurlExchange::HeaderLine(std::string_view line) {
  last_activity_ = std::chrono::steady_clock::now();
  header_bytes_ += line.size();
  if (header_bytes_ > kMaxHeaderBytes) {
    throw TransportError(TransportError::Kind::kOther,
                         What() + ": the response's headers are too long");
  }
  if (begun_) return;  // trailers
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) {
    line.remove_suffix(1);
  }
  if (line.starts_with("HTTP/")) {
    // A new response: the one before was informational.
    response_.headers.clear();
    const size_t space = line.find(' ');
    const auto status = space == std::string_view::npos
                            ? std::nullopt
                            : ParseUint(line.substr(space + 1, 3));
    response_.status = status ? static_cast<int>(*status) : 0;
    return;
  }
  if (line.empty()) {
    if (response_.status >= 200) BeginBody();
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  response_.headers.emplace_back(std::string(line.substr(0, colon)),
                                 std::string(Trim(line.substr(colon + 1))));
}

void CurlExchange::BeginBody() {
  if (begun_) return;
  begun_ = true;
  if (sink_ != nullptr) writer_ = sink_->Begin(response_);
}

size_t CurlExchange::OnBody(char* data, size_t size, size_t count, void* self) {
  auto* exchange = static_cast<CurlExchange*>(self);
  try {
    exchange->BodyBytes({data, size * count});
    return exchange->enough_ ? 0 : size * count;
  } catch (...) {
    exchange->thrown_ = std::current_exception();
    return 0;
  }
}

void CurlExchange::BodyBytes(std::string_view bytes) {
  BeginBody();
  if (writer_ != nullptr) {
    writer_->Write(AsBytes(bytes));
  } else if (body_ != nullptr) {
    const size_t cap = sink_ != nullptr ? kMaxErrorBody : kMaxResponseBody;
    if (body_->size() + bytes.size() > cap) {
      if (sink_ == nullptr) {
        throw TransportError(TransportError::Kind::kOther,
                             What() + ": the response is larger than 8 MiB");
      }
      bytes = bytes.substr(0, cap - body_->size());
      enough_ = true;
    }
    body_->append(bytes);
  }
  // After the writer: the time that it took is not the registry's.
  last_activity_ = std::chrono::steady_clock::now();
}

size_t CurlExchange::OnRead(char* data, size_t size, size_t count, void* self) {
  auto* exchange = static_cast<CurlExchange*>(self);
  const HttpRequest& request = exchange->request_;
  const size_t room = size * count;
  try {
    size_t n = 0;
    if (request.body_reader != nullptr) {
      n = request.body_reader->Read(
          std::as_writable_bytes(std::span(data, room)));
    } else {
      n = std::min(room, request.body.size() - exchange->sent_);
      std::memcpy(data, request.body.data() + exchange->sent_, n);
    }
    exchange->sent_ += n;
    exchange->last_activity_ = std::chrono::steady_clock::now();
    return n;
  } catch (...) {
    exchange->thrown_ = std::current_exception();
    return CURL_READFUNC_ABORT;
  }
}

// libcurl sends a request again by itself when a kept connection turns out to
// be dead; it can, as long as the body can be rewound.
int CurlExchange::OnSeek(void* self, curl_off_t offset, int origin) {
  auto* exchange = static_cast<CurlExchange*>(self);
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  const auto target = static_cast<size_t>(offset);
  if (exchange->request_.body_reader != nullptr) {
    return target == exchange->sent_ ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
  }
  if (target > exchange->request_.body.size()) return CURL_SEEKFUNC_FAIL;
  exchange->sent_ = target;
  return CURL_SEEKFUNC_OK;
}

HttpResponse CurlExchange::Finish(CURLcode code) {
  if (thrown_) std::rethrow_exception(thrown_);
  // A server may refuse in the middle of an upload and close: its answer
  // counts, not the broken pipe.
  const bool refused_early = response_.status >= 400 && begun_ &&
                             (code == CURLE_SEND_ERROR || code == CURLE_OK);
  if (code == CURLE_OK || enough_ || refused_early) {
    if (response_.status < 200) {
      throw TransportError(TransportError::Kind::kTransfer,
                           What() + ": no HTTP status in the response");
    }
    BeginBody();
    return std::move(response_);
  }
  throw Failure(code);
}

TransportError CurlExchange::Failure(CURLcode code) const {
  using Kind = TransportError::Kind;
  const char* text = error_text_.c_str();
  const std::string reason =
      Printable(*text != '\0' ? text : api_.easy_strerror(code), 300);
  const std::string message = What() + ": " + reason;
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST: {
      TransportError error(Kind::kConnect, message);
      const auto url = Url::Parse(request_.url);
      error.Temporary(url && NameServerFailed(url->host));
      return error;
    }
    case CURLE_COULDNT_RESOLVE_PROXY: {
      TransportError error(Kind::kConnect, message);
      error.Temporary(false).WithHint("check HTTP_PROXY and HTTPS_PROXY");
      return error;
    }
    case CURLE_COULDNT_CONNECT:
      return {Kind::kConnect, message};
    case CURLE_OPERATION_TIMEDOUT:
      return {Kind::kConnect, What() + ": timed out while connecting"};
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return TlsFailure(message);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_OUT_OF_MEMORY:
      return {Kind::kOther, message};
    default:
      return {Kind::kTransfer, message};
  }
}

}  // namespace imgbuild::registry
