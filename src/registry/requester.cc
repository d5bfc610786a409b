#include "registry/requester.h"

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

constexpr int kMaxRedirects = 10;
constexpr size_t kMaxWarningBytes = 4096;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 ||
         status == 308;
}

}  // namespace

std::string RepositoryUrl(const Endpoint& endpoint) {
  return endpoint.base_url + "/v2/" + endpoint.path_prefix;
}

oci::Repository RepositoryAt(const Endpoint& endpoint,
                             const oci::Repository& repository) {
  const auto url = Url::Parse(endpoint.base_url);
  if (!url || url->HostPort() == ToLower(repository.RegistryHost())) {
    return repository;
  }
  return oci::Repository::Parse(url->HostPort() + "/" + endpoint.path_prefix);
}

Requester::Requester(HttpTransport& transport, HostConfig& hosts,
                     CredentialSource& credentials, Clock& clock,
                     const ClientOptions& options)
    : transport_(transport),
      hosts_(hosts),
      clock_(clock),
      options_(options),
      authenticator_(transport, hosts, credentials, clock, options) {}

AuthTarget Requester::TargetFor(const Call& call, const Url& url) const {
  const auto home = Url::Parse(call.endpoint->base_url);
  if (home && home->Origin() == url.Origin()) {
    return {url, RepositoryAt(*call.endpoint, *call.repository), call.scopes,
            call.endpoint->tls};
  }
  // Somewhere that the registry sent us to: it may ask for an identity of its
  // own, and gets the one that is configured for it, if any.
  const bool same_host = home && home->HostPort() == url.HostPort();
  return {
      url,
      oci::Repository::Parse(url.HostPort() + "/" + call.endpoint->path_prefix),
      call.scopes,
      same_host ? call.endpoint->tls : hosts_.TlsFor(url.HostPort())};
}

HttpResponse Requester::Send(const Call& call, const Url& url,
                             const AuthTarget& target, std::string* body,
                             bool* sent_auth, const CancelToken& cancel) {
  HttpRequest request;
  request.method = call.method;
  Url plain = url;
  plain.user_info.clear();
  request.url = plain.ToString();
  request.headers = call.headers;
  // Digests are of the bytes as stored: no encoding on the way.
  request.headers.emplace_back("Accept-Encoding", "identity");
  request.tls = target.tls;
  request.idle_timeout = call.idle_timeout;
  request.body = call.body;
  request.body_reader = call.body_reader;
  request.body_size = call.body_size;
  if (call.with_auth) {
    if (auto header = authenticator_.HeaderFor(target, cancel)) {
      request.headers.emplace_back("Authorization", std::move(*header));
      *sent_auth = true;
    }
  }
  return transport_.Send(request, call.sink, body, cancel);
}

Url Requester::NextUrl(const Call& call, const Url& url,
                       const HttpResponse& response) const {
  const auto location = FindHeader(response.headers, "Location");
  const auto next = location ? url.Resolve(*location) : std::nullopt;
  const std::string what = call.method + " " + response.url + ": ";
  if (!next) {
    throw Error(ErrorCode::kRegistry, what + "redirect to a malformed URL");
  }
  if (url.scheme == "https" && next->scheme == "http" &&
      !call.endpoint->insecure) {
    throw Error(ErrorCode::kRegistry,
                what + "redirect from https to plain http refused");
  }
  return *next;
}

void Requester::ShowWarnings(const Call& call, const HttpResponse& response) {
  if (!options_.warn) return;
  for (const std::string& warning : ParseWarnings(response.headers)) {
    const std::string text = Printable(warning, kMaxWarningBytes);
    {
      const std::lock_guard lock(mutex_);
      if (warning_bytes_ + text.size() > kMaxWarningBytes ||
          !shown_warnings_.insert(text).second) {
        continue;
      }
      warning_bytes_ += text.size();
    }
    options_.warn("registry " + call.repository->domain() + ": " + text);
  }
}

Reply Requester::Once(const Call& call, const CancelToken& cancel) {
  auto url = Url::Parse(call.url);
  if (!url) throw Error(ErrorCode::kRegistry, "malformed URL of a registry");
  std::set<std::string> challenged;
  for (int redirects = 0;;) {
    const AuthTarget target = TargetFor(call, *url);
    Reply reply;
    bool sent_auth = false;
    reply.response = Send(call, *url, target, &reply.body, &sent_auth, cancel);
    reply.url = *url;
    ShowWarnings(call, reply.response);
    // A body that was streamed away cannot be sent again from here: uploads
    // begin with a small request that settles the question of who we are.
    if (reply.response.status == 401 && call.with_auth &&
        challenged.insert(url->Origin()).second &&
        authenticator_.Answer(target, reply.response, sent_auth, cancel)) {
      if (call.body_reader == nullptr) continue;
    }
    if (IsRedirect(reply.response.status) &&
        (call.method == "GET" || call.method == "HEAD")) {
      if (++redirects > kMaxRedirects) {
        throw Error(
            ErrorCode::kRegistry,
            call.method + " " + Redacted(call.url) + ": too many redirects");
      }
      url = NextUrl(call, *url, reply.response);
      continue;
    }
    return reply;
  }
}

Reply Requester::Do(const Call& call, const CancelToken& cancel) {
  Retry retry = NewRetry(call.attempts);
  for (;;) {
    try {
      Reply reply = Once(call, cancel);
      if (!retry.Again(reply.response, cancel)) return reply;
    } catch (const TransportError& error) {
      if (!retry.Again(error, cancel)) throw;
    }
  }
}

Error Requester::Failure(const Call& call, const Reply& reply) {
  const int status = reply.response.status;
  Error error = ResponseError(call.method, reply.response, reply.body);
  if (status == 401 || status == 403) {
    const AuthTarget target = TargetFor(call, reply.url);
    const std::string login = "imgbuild login " + target.repository.domain();
    if (const auto source = authenticator_.CredentialsUsed(target)) {
      error.WithHint("the credentials from " + *source +
                     " do not allow this; log in again: " + login);
    } else {
      error.WithHint("the repository does not exist or needs a login: " +
                     login);
    }
  } else if (status == 429) {
    error.WithHint("the registry limits the rate of requests; a login (" +
                   std::string("imgbuild login ") + call.repository->domain() +
                   ") often raises the limit");
  }
  return error;
}

}  // namespace imgbuild::registry
