// The real HttpTransport. Each request in flight has a handle of its own with
// the connections it has kept; handles wait in a pool per origin, the last
// used on top. Several connections carry several layers faster than one
// HTTP/2 connection does, and nothing is shared between threads but the DNS
// cache and the TLS sessions.
#include <curl/curl.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <map>
#include <mutex>

#include "imgbuild/registry/transport.h"
#include "imgbuild/util/fs.h"

#include "registry/curl_api.h"
#include "registry/curl_exchange.h"
#include "registry/proxy.h"
#include "registry/url.h"

namespace imgbuild::registry {
namespace {

constexpr size_t kMaxPemBytes = 4u << 20;
constexpr long kBufferBytes = 512L << 10;
constexpr long kConnectTimeoutMs = 15000;

struct Handle {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
};

// The bundle that extra roots are added to.
std::string SystemCaFile() {
  if (const char* file = std::getenv("SSL_CERT_FILE"); file && *file) {
    return file;
  }
  for (const char* file :
       {"/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"}) {
    struct ::stat info {};
    if (::stat(file, &info) == 0) return file;
  }
  return "";
}

class CurlTransport : public HttpTransport {
 public:
  explicit CurlTransport(std::string user_agent)
      : user_agent_(std::move(user_agent)),
        proxies_(ProxySettings::FromEnvironment()) {}
  ~CurlTransport() override;

  HttpResponse Send(const HttpRequest& request, ResponseSink* sink,
                    std::string* body, const CancelToken& cancel) override;

 private:
  class Lease;
  static constexpr size_t kLocks = CURL_LOCK_DATA_LAST;

  void Load();
  Handle Take(const std::string& key);
  void Return(const std::string& key, Handle handle) noexcept;
  void Discard(Handle handle) noexcept;
  void SetConnection(CURL* easy, const HttpRequest& request, const Url& url);
  void SetTls(CURL* easy, const TlsOptions& tls);
  void SetRoots(CURL* easy, const TlsOptions& tls);
  std::string CaBundle(const std::vector<std::string>& extra);
  CURLcode Perform(const Handle& handle, const CurlExchange& exchange,
                   std::chrono::milliseconds idle, const CancelToken& cancel);

  static void Lock(CURL*, curl_lock_data data, curl_lock_access, void* self) {
    static_cast<CurlTransport*>(self)->share_locks_[data].lock();
  }
  static void Unlock(CURL*, curl_lock_data data, void* self) {
    static_cast<CurlTransport*>(self)->share_locks_[data].unlock();
  }

  const std::string user_agent_;
  const ProxySettings proxies_;
  std::once_flag loaded_;
  CurlApi api_{};
  CURLSH* share_ = nullptr;
  std::array<std::mutex, kLocks> share_locks_;
  std::mutex mutex_;
  std::map<std::string, std::vector<Handle>> idle_;
  std::map<std::vector<std::string>, std::string> bundles_;
};

// A handle for one exchange; it goes back to the pool whatever happens.
class CurlTransport::Lease {
 public:
  Lease(CurlTransport& owner, std::string key)
      : owner_(owner), key_(std::move(key)), handle_(owner.Take(key_)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    owner_.api_.easy_reset(handle_.easy);
    owner_.Return(key_, handle_);
  }
  const Handle& get() const { return handle_; }

 private:
  CurlTransport& owner_;
  std::string key_;
  Handle handle_;
};

CurlTransport::~CurlTransport() {
  for (auto& [key, handles] : idle_) {
    for (const Handle& handle : handles) Discard(handle);
  }
  if (share_ != nullptr) api_.share_cleanup(share_);
}

void CurlTransport::Load() {
  std::call_once(loaded_, [this] {
    api_ = LoadCurl();
    share_ = api_.share_init();
    if (share_ == nullptr) throw std::bad_alloc();
    api_.share_setopt(share_, CURLSHOPT_USERDATA, this);
    api_.share_setopt(share_, CURLSHOPT_LOCKFUNC, &CurlTransport::Lock);
    api_.share_setopt(share_, CURLSHOPT_UNLOCKFUNC, &CurlTransport::Unlock);
    api_.share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    api_.share_setopt(share_, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
  });
}

Handle CurlTransport::Take(const std::string& key) {
  {
    const std::lock_guard lock(mutex_);
    std::vector<Handle>& idle = idle_[key];
    if (!idle.empty()) {
      const Handle handle = idle.back();
      idle.pop_back();
      return handle;
    }
  }
  Handle handle;
  handle.easy = api_.easy_init();
  handle.multi = api_.multi_init();
  if (handle.easy == nullptr || handle.multi == nullptr) {
    Discard(handle);
    throw std::bad_alloc();
  }
  return handle;
}

void CurlTransport::Return(const std::string& key, Handle handle) noexcept {
  try {
    const std::lock_guard lock(mutex_);
    idle_[key].push_back(handle);
  } catch (...) {
    Discard(handle);
  }
}

void CurlTransport::Discard(Handle handle) noexcept {
  if (handle.easy != nullptr) api_.easy_cleanup(handle.easy);
  if (handle.multi != nullptr) api_.multi_cleanup(handle.multi);
}

void CurlTransport::SetConnection(CURL* easy, const HttpRequest& request,
                                  const Url& url) {
  const auto& set = api_.easy_setopt;
  set(easy, CURLOPT_SHARE, share_);
  set(easy, CURLOPT_NOSIGNAL, 1L);
  set(easy, CURLOPT_USERAGENT, user_agent_.c_str());
  set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  set(easy, CURLOPT_FOLLOWLOCATION, 0L);
  set(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
  set(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L);
  set(easy, CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(easy, CURLOPT_CONNECTTIMEOUT_MS, kConnectTimeoutMs);
  set(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  set(easy, CURLOPT_BUFFERSIZE, kBufferBytes);
  set(easy, CURLOPT_UPLOAD_BUFFERSIZE, kBufferBytes);
  set(easy, CURLOPT_PROXY, ProxyFor(proxies_, url).c_str());
  set(easy, CURLOPT_NOPROXY, "");
  if (url.scheme == "https") SetTls(easy, request.tls);
}

void CurlTransport::SetTls(CURL* easy, const TlsOptions& tls) {
  const auto& set = api_.easy_setopt;
  set(easy, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  if (tls.skip_verify) {
    set(easy, CURLOPT_SSL_VERIFYPEER, 0L);
    set(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    // Roots that nobody looks at take ten milliseconds to read.
    set(easy, CURLOPT_CAINFO, nullptr);
    set(easy, CURLOPT_CAPATH, nullptr);
  } else {
    SetRoots(easy, tls);
  }
  if (!tls.client_cert_file.empty()) {
    set(easy, CURLOPT_SSLCERT, tls.client_cert_file.c_str());
    set(easy, CURLOPT_SSLKEY, tls.client_key_file.c_str());
  }
}

void CurlTransport::SetRoots(CURL* easy, const TlsOptions& tls) {
  const auto& set = api_.easy_setopt;
  if (const char* dir = std::getenv("SSL_CERT_DIR"); dir && *dir) {
    set(easy, CURLOPT_CAPATH, dir);
  }
  if (tls.ca_files.empty()) {
    const std::string file = SystemCaFile();
    if (!file.empty()) set(easy, CURLOPT_CAINFO, file.c_str());
  } else {
    std::string bundle = CaBundle(tls.ca_files);
    curl_blob blob{bundle.data(), bundle.size(), CURL_BLOB_COPY};
    set(easy, CURLOPT_CAINFO_BLOB, &blob);
  }
}

// The system's roots followed by the extra ones, read once.
std::string CurlTransport::CaBundle(const std::vector<std::string>& extra) {
  const std::lock_guard lock(mutex_);
  const auto found = bundles_.find(extra);
  if (found != bundles_.end()) return found->second;
  std::string bundle;
  std::vector<std::string> files = extra;
  if (const std::string system = SystemCaFile(); !system.empty()) {
    files.insert(files.begin(), system);
  }
  for (const std::string& file : files) {
    const UniqueFd fd = fs::Open(AT_FDCWD, file, O_RDONLY);
    bundle += fs::ReadFd(fd.get(), kMaxPemBytes, file);
    bundle += '\n';
  }
  bundles_.emplace(extra, bundle);
  return bundle;
}

CURLcode CurlTransport::Perform(const Handle& handle,
                                const CurlExchange& exchange,
                                std::chrono::milliseconds idle,
                                const CancelToken& cancel) {
  using std::chrono::milliseconds;
  for (;;) {
    cancel.Check();
    int running = 0;
    api_.multi_perform(handle.multi, &running);
    if (running == 0) break;
    const auto quiet = std::chrono::duration_cast<milliseconds>(
        std::chrono::steady_clock::now() - exchange.last_activity());
    if (quiet >= idle) {
      throw TransportError(TransportError::Kind::kTransfer,
                           exchange.What() + ": no data for " +
                               std::to_string(idle.count()) + " ms");
    }
    const milliseconds wait = std::min(idle - quiet, milliseconds(1000));
    curl_waitfd extra{cancel.fd(), CURL_WAIT_POLLIN, 0};
    api_.multi_poll(handle.multi, &extra, cancel.fd() >= 0 ? 1U : 0U,
                    static_cast<int>(wait.count()) + 1, nullptr);
  }
  int left = 0;
  while (const CURLMsg* message = api_.multi_info_read(handle.multi, &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return CURLE_RECV_ERROR;
}

HttpResponse CurlTransport::Send(const HttpRequest& request, ResponseSink* sink,
                                 std::string* body, const CancelToken& cancel) {
  cancel.Check();
  const auto url = Url::Parse(request.url);
  if (!url) {
    throw TransportError(TransportError::Kind::kOther,
                         request.method + ": malformed URL");
  }
  Load();
  // A connection made with one set of trust must not serve another.
  std::string key = url->Origin() + (request.tls.skip_verify ? " any" : "") +
                    " " + request.tls.client_cert_file;
  for (const std::string& file : request.tls.ca_files) key += " " + file;
  const Lease lease(*this, key);
  CurlExchange exchange(api_, request, sink, body);
  // `exchange` dies before `lease` resets the handle; no callback runs in
  // between, because the handle is taken out of the multi handle first.
  SetConnection(lease.get().easy, request, *url);
  exchange.Configure(lease.get().easy);
  struct Running {
    const CurlApi& api;
    const Handle& handle;
    Running(const CurlApi& a, const Handle& h) : api(a), handle(h) {
      api.multi_add_handle(handle.multi, handle.easy);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    ~Running() { api.multi_remove_handle(handle.multi, handle.easy); }
  } running(api_, lease.get());
  return exchange.Finish(
      Perform(lease.get(), exchange, request.idle_timeout, cancel));
}

}  // namespace

std::unique_ptr<HttpTransport> NewCurlTransport(const std::string& user_agent) {
  return std::make_unique<CurlTransport>(user_agent);
}

}  // namespace imgbuild::registry
