// One request of the client: authorised, redirected, retried.
#ifndef IMGBUILD_SRC_REGISTRY_REQUESTER_H_
#define IMGBUILD_SRC_REGISTRY_REQUESTER_H_

#include <chrono>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/registry/client.h"

#include "registry/auth.h"
#include "registry/retry.h"

namespace imgbuild::registry {

// A request to an endpoint. What it points at must outlive the exchange.
struct Call {
  const Endpoint* endpoint = nullptr;
  const oci::Repository* repository = nullptr;  // as the user named it
  std::string method = "GET";
  std::string url;  // absolute
  Headers headers;
  std::vector<std::string> scopes;
  std::string body;
  Reader* body_reader = nullptr;
  uint64_t body_size = 0;
  ResponseSink* sink = nullptr;
  std::chrono::milliseconds idle_timeout{30000};
  unsigned attempts = 0;  // 0: as the options say
  bool with_auth = true;  // false: foreign urls
};

struct Reply {
  HttpResponse response;
  std::string body;
  Url url;  // of the response, after redirects
};

// Thread-safe.
class Requester {
 public:
  Requester(HttpTransport& transport, HostConfig& hosts,
            CredentialSource& credentials, Clock& clock,
            const ClientOptions& options);

  // With retries; for requests without a sink or a body reader. The last
  // answer is returned whatever its status; 401 that our credentials cannot
  // answer is returned too.
  Reply Do(const Call& call, const CancelToken& cancel);
  // Without retries (401 and redirects are still followed).
  Reply Once(const Call& call, const CancelToken& cancel);

  // The Error for an answer that is none of the expected ones, with what a
  // person can do about it.
  Error Failure(const Call& call, const Reply& reply);

  const ClientOptions& options() const { return options_; }
  Clock& clock() const { return clock_; }
  Retry NewRetry(unsigned attempts = 0) const {
    return {clock_, options_, attempts};
  }

 private:
  AuthTarget TargetFor(const Call& call, const Url& url) const;
  // *sent_auth: whether the request carried credentials.
  HttpResponse Send(const Call& call, const Url& url, const AuthTarget& target,
                    std::string* body, bool* sent_auth,
                    const CancelToken& cancel);
  Url NextUrl(const Call& call, const Url& url,
              const HttpResponse& response) const;
  void ShowWarnings(const Call& call, const HttpResponse& response);

  HttpTransport& transport_;
  HostConfig& hosts_;
  Clock& clock_;
  const ClientOptions& options_;
  Authenticator authenticator_;
  std::mutex mutex_;
  std::set<std::string> shown_warnings_;
  size_t warning_bytes_ = 0;
};

// base_url + "/v2/" + path: the root of a repository at an endpoint.
std::string RepositoryUrl(const Endpoint& endpoint);
// What the endpoint itself is called, for credentials and messages: the
// repository when it is at home there, else host/path of the mirror.
oci::Repository RepositoryAt(const Endpoint& endpoint,
                             const oci::Repository& repository);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_REQUESTER_H_
