#include "registry/auth.h"

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "registry/base64.h"
#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

constexpr size_t kMaxTokenBody = 1u << 20;
constexpr int kMaxTokenRedirects = 5;
constexpr int64_t kMaxTokenLifetime = int64_t{24} * 3600;
constexpr std::string_view kClientId = "imgbuild";

std::string StringAt(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return "";
  return found->get<std::string>();
}

// A token that could break out of its header line is no token.
bool IsHeaderSafe(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
}

// Tokens of different identities must not be mixed up; the name of the source
// and the user tell identities apart without keeping a second copy of secrets.
std::string TokenKey(const std::optional<Credentials>& credentials,
                     const std::vector<std::string>& scopes) {
  return (credentials ? credentials->source + "\n" + credentials->username
                      : std::string()) +
         "\n" + Join(scopes, " ");
}

}  // namespace

std::vector<std::string> MergeScopes(const std::vector<std::string>& scopes) {
  std::map<std::string, std::set<std::string>> actions;
  for (const std::string& scope : scopes) {
    const size_t colon = scope.rfind(':');
    if (colon == std::string::npos) {
      actions[scope];
      continue;
    }
    for (std::string& action : Split(scope.substr(colon + 1), ',')) {
      if (!action.empty()) {
        actions[scope.substr(0, colon)].insert(std::move(action));
      }
    }
  }
  std::vector<std::string> out;
  out.reserve(actions.size());
  for (const auto& [resource, wanted] : actions) {
    out.push_back(wanted.empty()
                      ? resource
                      : resource + ":" +
                            Join({wanted.begin(), wanted.end()}, ","));
  }
  return out;
}

TokenAnswer ParseTokenAnswer(std::string_view body, std::string_view server) {
  const auto bad = [server](const std::string& why) {
    return Error(ErrorCode::kRegistry,
                 "token server " + std::string(server) + ": " + why);
  };
  if (body.size() > kMaxTokenBody) throw bad("the answer is too large");
  const auto json = nlohmann::json::parse(body, nullptr, false);
  if (!json.is_object()) throw bad("the answer is not a JSON object");
  TokenAnswer answer;
  answer.token = StringAt(json, "token");
  if (answer.token.empty()) answer.token = StringAt(json, "access_token");
  if (answer.token.empty()) throw bad("the answer holds no token");
  if (!IsHeaderSafe(answer.token)) throw bad("the token is malformed");
  answer.refresh_token = StringAt(json, "refresh_token");
  const auto expires = json.find("expires_in");
  if (expires != json.end() && expires->is_number()) {
    const double seconds = expires->get<double>();
    if (seconds > 60) {
      answer.expires_in =
          static_cast<int64_t>(std::min<double>(seconds, kMaxTokenLifetime));
    }
  }
  return answer;
}

std::string BasicHeader(const Credentials& credentials) {
  return "Basic " +
         Base64Encode(credentials.username + ":" + credentials.password);
}

bool IsTrustedRealm(const Url& realm, const Url& registry,
                    const std::vector<std::string>& trusted) {
  if (realm.host == registry.host) return true;
  // Services whose token server has a name of its own.
  static constexpr std::pair<std::string_view, std::string_view> kKnown[] = {
      {"registry-1.docker.io", "auth.docker.io"},
      {"docker.io", "auth.docker.io"},
      {"index.docker.io", "auth.docker.io"},
      {"registry.gitlab.com", "gitlab.com"},
  };
  for (const auto& [host, token_host] : kKnown) {
    if (registry.host == host && realm.host == token_host) {
      return realm.scheme == "https";
    }
  }
  return std::any_of(
      trusted.begin(), trusted.end(), [&](const std::string& entry) {
        const size_t equals = entry.find('=');
        if (equals == std::string::npos) return false;
        const std::string host = entry.substr(0, equals);
        const std::string token_host = entry.substr(equals + 1);
        return (host == registry.host || host == registry.HostPort()) &&
               (token_host == realm.host || token_host == realm.HostPort());
      });
}

std::vector<std::string> TrustedRealms(const EnvLookup& env) {
  std::vector<std::string> out;
  for (const std::string& entry :
       Split(env("IMGBUILD_TRUSTED_REALMS").value_or(""), ',')) {
    if (!Trim(entry).empty()) out.emplace_back(Trim(entry));
  }
  return out;
}

Authenticator::Authenticator(HttpTransport& transport, HostConfig& hosts,
                             CredentialSource& credentials, Clock& clock,
                             const ClientOptions& options)
    : transport_(transport),
      hosts_(hosts),
      credential_source_(credentials),
      clock_(clock),
      options_(options) {}

Authenticator::Origin& Authenticator::OriginOf(const AuthTarget& target) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Origin>& origin = origins_[target.url.Origin()];
  if (!origin) origin = std::make_unique<Origin>();
  return *origin;
}

const std::optional<Credentials>& Authenticator::CredentialsOf(
    Origin& origin, const AuthTarget& target) {
  const std::string key = target.repository.ToString();
  const auto found = origin.credentials.find(key);
  if (found != origin.credentials.end()) return found->second;
  return origin.credentials
      .emplace(key, credential_source_.Find(target.repository))
      .first->second;
}

std::optional<std::string> Authenticator::HeaderFor(const AuthTarget& target,
                                                    const CancelToken& cancel) {
  Origin& origin = OriginOf(target);
  const std::lock_guard lock(origin.mutex);
  if (origin.scheme.empty()) return std::nullopt;
  const auto& credentials = CredentialsOf(origin, target);
  if (origin.scheme == "basic") {
    if (!credentials) return std::nullopt;
    return BasicHeader(*credentials);
  }
  if (credentials && !credentials->registry_token.empty()) {
    return "Bearer " + credentials->registry_token;
  }
  const auto scopes = MergeScopes(target.scopes);
  const auto found = origin.tokens.find(TokenKey(credentials, scopes));
  if (found != origin.tokens.end() &&
      clock_.Monotonic() < found->second.renew_at) {
    return "Bearer " + found->second.value;
  }
  return "Bearer " + FetchToken(origin, target, scopes, cancel);
}

std::optional<std::string> Authenticator::CredentialsUsed(
    const AuthTarget& target) {
  Origin& origin = OriginOf(target);
  const std::lock_guard lock(origin.mutex);
  const auto found = origin.credentials.find(target.repository.ToString());
  if (found == origin.credentials.end() || !found->second) return std::nullopt;
  return found->second->source;
}

bool Authenticator::Answer(const AuthTarget& target,
                           const HttpResponse& response, bool sent_before,
                           const CancelToken& cancel) {
  const std::vector<Challenge> challenges = ParseChallenges(response.headers);
  const auto find = [&challenges](std::string_view scheme) -> const Challenge* {
    for (const Challenge& challenge : challenges) {
      if (challenge.scheme == scheme) return &challenge;
    }
    return nullptr;
  };
  Origin& origin = OriginOf(target);
  const std::lock_guard lock(origin.mutex);
  const auto& credentials = CredentialsOf(origin, target);
  const Challenge* bearer = find("bearer");
  if (bearer != nullptr && bearer->params.contains("realm")) {
    if (credentials && !credentials->registry_token.empty()) {
      origin.scheme = "bearer";
      return !sent_before;
    }
    origin.scheme = "bearer";
    origin.realm = bearer->params.at("realm");
    const auto service = bearer->params.find("service");
    origin.service = service == bearer->params.end() ? "" : service->second;
    std::vector<std::string> scopes = target.scopes;
    if (const auto scope = bearer->params.find("scope");
        scope != bearer->params.end()) {
      for (std::string& one : Split(scope->second, ' ')) {
        if (!one.empty()) scopes.push_back(std::move(one));
      }
    }
    FetchToken(origin, target, MergeScopes(scopes), cancel);
    return true;
  }
  if (find("basic") != nullptr && credentials &&
      credentials->identity_token.empty()) {
    // The same pair again would be refused again. Whether this request had it
    // is the question, not whether another one brought it in meanwhile.
    origin.scheme = "basic";
    return !sent_before;
  }
  return false;
}

std::string Authenticator::FetchToken(Origin& origin, const AuthTarget& target,
                                      const std::vector<std::string>& scopes,
                                      const CancelToken& cancel) {
  const auto realm = Url::Parse(origin.realm);
  if (!realm) {
    throw Error(ErrorCode::kRegistry,
                target.url.HostPort() + ": malformed realm in its challenge");
  }
  if (realm->scheme != "https" && target.url.scheme == "https") {
    throw Error(ErrorCode::kRegistry,
                target.url.HostPort() + ": its token server " +
                    Redacted(realm->ToString()) + " is plain http: refused");
  }
  const auto& known = CredentialsOf(origin, target);
  const auto credentials = CredentialsForRealm(*realm, target, known);
  const TokenAnswer answer =
      AskServer(*realm, target, origin.service, scopes, credentials, cancel);
  Token token;
  token.value = answer.token;
  // Renewed at nine tenths, so that a request never starts with a token that
  // dies on the way.
  token.renew_at =
      clock_.Monotonic() + std::chrono::seconds(answer.expires_in) * 9 / 10;
  // Kept under what was wanted, which is what the next request will want.
  origin.tokens[TokenKey(known, MergeScopes(target.scopes))] = token;
  return token.value;
}

std::optional<Credentials> Authenticator::CredentialsForRealm(
    const Url& realm, const AuthTarget& target,
    const std::optional<Credentials>& credentials) {
  if (!credentials ||
      IsTrustedRealm(realm, target.url, options_.trusted_realms)) {
    return credentials;
  }
  const std::string pair = target.url.HostPort() + "=" + realm.HostPort();
  bool is_first = false;
  {
    const std::lock_guard lock(mutex_);
    is_first = warned_realms_.insert(pair).second;
  }
  if (is_first && options_.warn) {
    options_.warn("credentials of " + target.url.HostPort() +
                  " are not sent to its token server on another host, " +
                  realm.HostPort() +
                  "; allow it with IMGBUILD_TRUSTED_REALMS=" + pair);
  }
  return std::nullopt;
}

TokenAnswer Authenticator::AskServer(
    const Url& realm, const AuthTarget& target, const std::string& service,
    const std::vector<std::string>& scopes,
    const std::optional<Credentials>& credentials, const CancelToken& cancel) {
  HttpRequest request;
  request.idle_timeout = options_.idle_timeout;
  request.tls = realm.HostPort() == target.url.HostPort()
                    ? target.tls
                    : hosts_.TlsFor(realm.HostPort());
  request.headers.emplace_back("Accept", "application/json");
  Url url = realm;
  url.user_info.clear();
  if (credentials && !credentials->identity_token.empty()) {
    request.method = "POST";
    request.headers.emplace_back("Content-Type",
                                 "application/x-www-form-urlencoded");
    request.body = EncodeForm({{"grant_type", "refresh_token"},
                               {"service", service},
                               {"client_id", std::string(kClientId)},
                               {"scope", Join(scopes, " ")},
                               {"refresh_token", credentials->identity_token}});
  } else {
    if (!service.empty()) url.AddQuery("service", service);
    for (const std::string& scope : scopes) url.AddQuery("scope", scope);
    if (credentials) {
      url.AddQuery("account", credentials->username);
      request.headers.emplace_back("Authorization", BasicHeader(*credentials));
    }
  }
  Retry retry(clock_, options_);
  int redirects = 0;
  for (;;) {
    request.url = url.ToString();
    std::string body;
    HttpResponse response;
    try {
      response = transport_.Send(request, nullptr, &body, cancel);
    } catch (const TransportError& error) {
      if (retry.Again(error, cancel)) continue;
      throw;
    }
    if (response.status == 200) {
      return ParseTokenAnswer(body, Redacted(request.url));
    }
    const bool is_redirect = response.status == 301 || response.status == 302 ||
                             response.status == 303 || response.status == 307 ||
                             response.status == 308;
    if (is_redirect && request.method == "GET" &&
        ++redirects <= kMaxTokenRedirects) {
      const auto location = FindHeader(response.headers, "Location");
      const auto next = location ? url.Resolve(*location) : std::nullopt;
      if (next && (next->scheme == "https" || url.scheme == "http")) {
        // The next host was named by the server, not by the user.
        if (next->Origin() != url.Origin()) {
          std::erase_if(request.headers, [](const auto& header) {
            return header.first == "Authorization";
          });
          request.tls = hosts_.TlsFor(next->HostPort());
        }
        url = *next;
        url.user_info.clear();
        continue;
      }
    }
    if (retry.Again(response, cancel)) continue;
    Error error = ResponseError(request.method, response, body);
    if (response.status == 401 || response.status == 403) {
      if (credentials) {
        error.While("while using the credentials from " + credentials->source);
        error.WithHint("log in again: imgbuild login " +
                       target.repository.domain());
      } else {
        error.WithHint("log in first: imgbuild login " +
                       target.repository.domain());
      }
    }
    throw error;
  }
}

}  // namespace imgbuild::registry
