// Who we are, per origin: answers challenges with Basic credentials or with
// tokens, keeps the tokens, renews them early. Credentials are looked up only
// when an origin asks, and go to that origin and to token servers it may use.
#ifndef IMGBUILD_SRC_REGISTRY_AUTH_H_
#define IMGBUILD_SRC_REGISTRY_AUTH_H_

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/registry/client.h"
#include "imgbuild/registry/config.h"
#include "imgbuild/registry/transport.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/clock.h"

#include "registry/http_headers.h"
#include "registry/retry.h"
#include "registry/url.h"

namespace imgbuild::registry {

// "repository:NAME:pull,push" and the like; merges actions per resource and
// sorts: one spelling for one meaning.
std::vector<std::string> MergeScopes(const std::vector<std::string>& scopes);

// What a token server answered. Throws Error(kRegistry) on an empty or
// malformed answer; `server` is for the message.
struct TokenAnswer {
  std::string token;
  int64_t expires_in = 60;  // at least 60
  std::string refresh_token;
};
TokenAnswer ParseTokenAnswer(std::string_view body, std::string_view server);

// One origin as one exchange sees it.
struct AuthTarget {
  Url url;                     // of the request
  oci::Repository repository;  // whose credentials apply
  std::vector<std::string> scopes;
  TlsOptions tls;
};

// Thread-safe.
class Authenticator {
 public:
  Authenticator(HttpTransport& transport, HostConfig& hosts,
                CredentialSource& credentials, Clock& clock,
                const ClientOptions& options);

  // The Authorization header to begin with: what this origin wanted last time.
  std::optional<std::string> HeaderFor(const AuthTarget& target,
                                       const CancelToken& cancel);
  // After a 401: true when HeaderFor() now has something to offer that the
  // refused request did not have. `sent_before`: whether it carried an
  // Authorization header; of several requests at once only the first may have
  // gone without. Throws when a token server refuses.
  bool Answer(const AuthTarget& target, const HttpResponse& response,
              bool sent_before, const CancelToken& cancel);
  // True when the last answer used credentials: "refused" and "required" are
  // different errors. The text says where they are from.
  std::optional<std::string> CredentialsUsed(const AuthTarget& target);

 private:
  struct Token {
    std::string value;
    std::chrono::nanoseconds renew_at{0};
  };
  struct Origin {
    std::mutex mutex;    // held while a token is fetched: one fetch at a time
    std::string scheme;  // "", "basic", "bearer"
    std::string realm;
    std::string service;
    std::map<std::string, Token> tokens;  // by credentials and scopes
    std::map<std::string, std::optional<Credentials>> credentials;
  };

  Origin& OriginOf(const AuthTarget& target);
  const std::optional<Credentials>& CredentialsOf(Origin& origin,
                                                  const AuthTarget& target);
  std::string FetchToken(Origin& origin, const AuthTarget& target,
                         const std::vector<std::string>& scopes,
                         const CancelToken& cancel);
  // What may be shown to this realm: nothing when it is not trusted.
  std::optional<Credentials> CredentialsForRealm(
      const Url& realm, const AuthTarget& target,
      const std::optional<Credentials>& credentials);
  TokenAnswer AskServer(const Url& realm, const AuthTarget& target,
                        const std::string& service,
                        const std::vector<std::string>& scopes,
                        const std::optional<Credentials>& credentials,
                        const CancelToken& cancel);

  HttpTransport& transport_;
  HostConfig& hosts_;
  CredentialSource& credential_source_;
  Clock& clock_;
  const ClientOptions& options_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Origin>> origins_;
  std::set<std::string> warned_realms_;
};

std::string BasicHeader(const Credentials& credentials);

// True when a realm may see the credentials of a registry: the same host
// (any port), the pairs that everybody uses (docker.io -> auth.docker.io, …),
// and `trusted`, entries "REGISTRY=REALMHOST".
bool IsTrustedRealm(const Url& realm, const Url& registry,
                    const std::vector<std::string>& trusted);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_AUTH_H_
