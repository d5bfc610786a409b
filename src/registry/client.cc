// Names and documents: Resolve, FetchDocument, and going from endpoint to
// endpoint.
#include "imgbuild/registry/client.h"

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "registry/client_impl.h"
#include "registry/registry_error.h"

namespace imgbuild::registry {
namespace {

constexpr std::string_view kSchema1Prefix =
    "application/vnd.docker.distribution.manifest.v1+";

Error Schema1(const oci::Reference& reference) {
  return Error(ErrorCode::kRegistry,
               "manifest of " + reference.ToString() +
                   " is Docker schema 1, which is not supported")
      .WithHint(
          "push the image again with a client younger than 2017, or convert "
          "it: skopeo copy --format v2s2");
}

oci::Descriptor NewDescriptor(std::string media_type, oci::Digest digest,
                              uint64_t size) {
  return {std::move(media_type), std::move(digest), size, {}, {}, {}, {}};
}

// Content types that say nothing about what the document is.
std::string Claim(const std::string& media_type) {
  for (const std::string_view generic :
       {"application/json", "text/plain", "application/octet-stream",
        "binary/octet-stream", "text/html"}) {
    if (media_type == generic) return "";
  }
  return media_type;
}

}  // namespace

std::string AcceptManifests() {
  std::string out;
  for (const std::string_view type :
       {oci::media_type::kOciManifest, oci::media_type::kOciIndex,
        oci::media_type::kDockerManifest, oci::media_type::kDockerList}) {
    if (!out.empty()) out += ", ";
    out += type;
  }
  return out;
}

NotFoundError NotFound(const std::string& what, const Error& reason) {
  NotFoundError error(what + " not found: " + reason.message());
  if (!reason.hint().empty()) error.WithHint(reason.hint());
  return error;
}

std::optional<oci::Digest> DigestHeader(const std::string& what,
                                        const Headers& headers) {
  const auto text = FindHeader(headers, "Docker-Content-Digest");
  if (!text || text->empty()) return std::nullopt;
  auto digest = oci::Digest::TryParse(*text);
  if (!digest) {
    throw Error(ErrorCode::kRegistry,
                what + ": malformed Docker-Content-Digest header " +
                    Quoted(Printable(*text, 200)));
  }
  return digest;
}

ClientImpl::ClientImpl(HttpTransport& transport, HostConfig& hosts,
                       CredentialSource& credentials, Clock& clock,
                       ClientOptions options)
    : options_(std::move(options)),
      hosts_(hosts),
      transport_(transport),
      requester_(transport, hosts, credentials, clock, options_),
      downloads_(options_.per_host_connections),
      uploads_(options_.per_host_connections) {}

void ClientImpl::AtEndpoint(
    const Endpoint& endpoint,
    const std::function<void(const Endpoint&)>& attempt) {
  Endpoint plain = endpoint;
  if (endpoint.base_url.starts_with("https://")) {
    plain.base_url = "http" + endpoint.base_url.substr(5);
  }
  const bool may_be_plain =
      endpoint.insecure && plain.base_url != endpoint.base_url;
  if (!may_be_plain) return attempt(endpoint);
  {
    const std::lock_guard lock(mutex_);
    if (!plain_http_.contains(endpoint.base_url)) plain.base_url.clear();
  }
  if (!plain.base_url.empty()) return attempt(plain);
  try {
    attempt(endpoint);
  } catch (const TransportError& error) {
    // Nobody behind an explicit port is nobody for http, too.
    const auto url = Url::Parse(endpoint.base_url);
    const bool other_port = url && url->port.empty() &&
                            error.kind() == TransportError::Kind::kConnect;
    if (error.kind() != TransportError::Kind::kTls && !other_port) throw;
    plain.base_url = "http" + endpoint.base_url.substr(5);
    try {
      attempt(plain);
    } catch (const TransportError&) {
      throw error;  // of the two, https is what was asked for
    }
    const std::lock_guard lock(mutex_);
    plain_http_.emplace(endpoint.base_url, plain.base_url);
  }
}

void ClientImpl::AtEachEndpoint(
    const oci::Repository& repository, bool by_digest,
    const CancelToken& cancel,
    const std::function<void(const Endpoint&)>& attempt) {
  const std::vector<Endpoint> endpoints =
      hosts_.EndpointsFor(repository, by_digest);
  std::vector<std::string> notes;
  for (size_t i = 0; i < endpoints.size(); ++i) {
    try {
      return AtEndpoint(endpoints[i], attempt);
    } catch (Error& error) {
      if (error.code() != ErrorCode::kRegistry || cancel.cancelled()) throw;
      if (i + 1 == endpoints.size()) {
        for (const std::string& note : notes) error.WithNote(note);
        throw;
      }
      notes.push_back("mirror " + Redacted(endpoints[i].base_url) + ": " +
                      error.message());
    }
  }
  throw Error(ErrorCode::kRegistry,
              "no endpoint is configured for " + repository.ToString());
}

void ClientImpl::AtHome(const oci::Repository& repository,
                        const std::function<void(const Endpoint&)>& attempt) {
  for (const Endpoint& endpoint : hosts_.EndpointsFor(repository, false)) {
    if (!endpoint.is_mirror) return AtEndpoint(endpoint, attempt);
  }
  throw Error(ErrorCode::kRegistry,
              "no endpoint is configured for " + repository.ToString());
}

Call ClientImpl::NewCall(const Endpoint& endpoint,
                         const oci::Repository& repository,
                         const std::string& method, const std::string& path,
                         const std::string& actions) const {
  Call call;
  call.endpoint = &endpoint;
  call.repository = &repository;
  call.method = method;
  call.url = RepositoryUrl(endpoint) + path;
  call.scopes = {"repository:" + endpoint.path_prefix + ":" + actions};
  call.idle_timeout = options_.idle_timeout;
  // A mirror that stumbles is not waited for: the next endpoint is asked.
  if (endpoint.is_mirror) call.attempts = 1;
  return call;
}

oci::Descriptor ClientImpl::Resolve(const oci::Reference& reference,
                                    const CancelToken& cancel) {
  std::optional<oci::Descriptor> found;
  AtEachEndpoint(reference.repository(), reference.digest().has_value(), cancel,
                 [&](const Endpoint& endpoint) {
                   found = ResolveAt(endpoint, reference, cancel);
                 });
  return std::move(*found);
}

oci::Descriptor ClientImpl::ResolveAt(const Endpoint& endpoint,
                                      const oci::Reference& reference,
                                      const CancelToken& cancel) {
  Call call = NewCall(endpoint, reference.repository(), "HEAD",
                      "/manifests/" + reference.Object(), "pull");
  call.headers = {{"Accept", AcceptManifests()}};
  const Reply reply = requester_.Do(call, cancel);
  if (reply.response.status == 200) {
    const std::string what = "HEAD " + reply.response.url;
    const std::string type = MediaTypeOf(reply.response.headers);
    const auto digest = DigestHeader(what, reply.response.headers);
    const auto size = ContentLength(reply.response.headers);
    if (type.starts_with(kSchema1Prefix)) throw Schema1(reference);
    if (digest && reference.digest() && *digest != *reference.digest() &&
        digest->algorithm() == reference.digest()->algorithm()) {
      throw Error(ErrorCode::kRegistry,
                  what + ": the registry answers with " + digest->ToString());
    }
    const bool is_known = oci::IsManifestType(type) || oci::IsIndexType(type);
    if (digest && size && *size > 0 && is_known) {
      return NewDescriptor(type, reference.digest().value_or(*digest), *size);
    }
  }
  // No answer, or none that says enough: ask for the document (also for the
  // reason of a refusal, which HEAD cannot carry).
  const oci::Document document = DocumentAt(endpoint, reference, cancel);
  return NewDescriptor(document.media_type, document.digest,
                       document.bytes.size());
}

oci::Document ClientImpl::FetchDocument(const oci::Reference& reference,
                                        const CancelToken& cancel) {
  std::optional<oci::Document> found;
  AtEachEndpoint(reference.repository(), reference.digest().has_value(), cancel,
                 [&](const Endpoint& endpoint) {
                   found = DocumentAt(endpoint, reference, cancel);
                 });
  return std::move(*found);
}

oci::Document ClientImpl::DocumentAt(const Endpoint& endpoint,
                                     const oci::Reference& reference,
                                     const CancelToken& cancel) {
  Call call = NewCall(endpoint, reference.repository(), "GET",
                      "/manifests/" + reference.Object(), "pull");
  call.headers = {{"Accept", AcceptManifests()}};
  Reply reply = requester_.Do(call, cancel);
  if (reply.response.status == 404) {
    const Error reason = requester_.Failure(call, reply);
    // Odd registries keep manifests among the blobs.
    if (reference.digest()) {
      Call blob = call;
      blob.url = RepositoryUrl(endpoint) + "/blobs/" + reference.Object();
      reply = requester_.Do(blob, cancel);
    }
    if (reply.response.status != 200) {
      throw NotFound("manifest for " + reference.ToString(), reason);
    }
    std::erase_if(reply.response.headers, [](const auto& header) {
      return EqualsIgnoreCase(header.first, "Content-Type");
    });
  }
  if (reply.response.status != 200) throw requester_.Failure(call, reply);
  const std::string what = "GET " + reply.response.url;
  if (reply.body.size() > oci::kMaxManifestBytes) {
    throw Error(ErrorCode::kRegistry,
                what + ": the manifest is larger than 4 MiB");
  }
  const std::string type = MediaTypeOf(reply.response.headers);
  if (type.starts_with(kSchema1Prefix)) throw Schema1(reference);
  const auto announced = DigestHeader(what, reply.response.headers);
  for (const auto& expected : {reference.digest(), announced}) {
    if (!expected) continue;
    const auto actual = oci::Digest::OfBytes(reply.body, expected->algorithm());
    if (actual != *expected) {
      throw WrongDigestError(what + ": the manifest's digest is " +
                             actual.ToString() + ", expected " +
                             expected->ToString());
    }
  }
  try {
    oci::Document document =
        oci::ParseDocument(std::move(reply.body), Claim(type));
    if (reference.digest()) document.digest = *reference.digest();
    return document;
  } catch (Error& error) {
    error.While("while reading the answer to " + what +
                (type.empty() ? "" : " (" + type + ")"));
    throw;
  }
}

std::unique_ptr<Client> NewClient(HttpTransport& transport, HostConfig& hosts,
                                  CredentialSource& credentials, Clock& clock,
                                  ClientOptions options) {
  return std::make_unique<ClientImpl>(transport, hosts, credentials, clock,
                                      std::move(options));
}

}  // namespace imgbuild::registry
