// Blobs on their way in.
#include "imgbuild/util/error.h"

#include "registry/blob_download.h"
#include "registry/client_impl.h"

namespace imgbuild::registry {
namespace {

// A small blob in memory.
class StringSink : public BlobSink {
 public:
  void Write(Bytes bytes) override { text_.append(AsText(bytes)); }
  void Restart() override { text_.clear(); }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::string ClientImpl::FetchSmallBlob(const oci::Repository& repository,
                                       const oci::Descriptor& descriptor,
                                       size_t cap, const CancelToken& cancel) {
  if (descriptor.size > cap) {
    throw Error(ErrorCode::kRegistry,
                "blob " + descriptor.digest.ToString() + " of " +
                    repository.ToString() +
                    " is too large: " + std::to_string(descriptor.size) +
                    " bytes, at most " + std::to_string(cap) + " are accepted");
  }
  StringSink sink;
  FetchBlob(repository, descriptor, sink, cancel);
  return sink.Take();
}

void ClientImpl::FetchBlob(const oci::Repository& repository,
                           const oci::Descriptor& descriptor, BlobSink& sink,
                           const CancelToken& cancel) {
  if (FetchForeign(repository, descriptor, sink, cancel)) return;
  BlobDownload download(
      requester_, descriptor, sink,
      "blob " + descriptor.digest.ToString() + " of " + repository.ToString());
  const auto slot = downloads_.Acquire(repository.domain(), cancel);
  AtEachEndpoint(repository, true, cancel, [&](const Endpoint& endpoint) {
    download.Run(NewCall(endpoint, repository, "GET",
                         "/blobs/" + descriptor.digest.ToString(), "pull"),
                 cancel);
  });
}

// The urls of a non-distributable layer, when that is allowed: without
// credentials, wherever they point. False: ask the registry.
bool ClientImpl::FetchForeign(const oci::Repository& repository,
                              const oci::Descriptor& descriptor, BlobSink& sink,
                              const CancelToken& cancel) {
  if (!options_.allow_foreign_urls || descriptor.urls.empty() ||
      !oci::IsForeignLayer(descriptor.media_type)) {
    return false;
  }
  for (const std::string& text : descriptor.urls) {
    const auto url = Url::Parse(text);
    if (!url) continue;
    Endpoint endpoint;
    endpoint.base_url = url->Origin();
    endpoint.path_prefix = repository.path();
    endpoint.tls = hosts_.TlsFor(url->HostPort());
    Call call;
    call.endpoint = &endpoint;
    call.repository = &repository;
    call.url = url->ToString();
    call.with_auth = false;
    call.idle_timeout = options_.idle_timeout;
    try {
      BlobDownload download(requester_, descriptor, sink,
                            "foreign layer " + descriptor.digest.ToString());
      download.Run(call, cancel);
      return true;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kRegistry || cancel.cancelled()) throw;
      if (options_.warn) options_.warn(error.message());
      sink.Restart();
    }
  }
  return false;
}

bool ClientImpl::DocumentExists(const oci::Reference& reference,
                                const CancelToken& cancel) {
  bool exists = false;
  AtHome(reference.repository(), [&](const Endpoint& endpoint) {
    Call call = NewCall(endpoint, reference.repository(), "HEAD",
                        "/manifests/" + reference.Object(), "pull");
    call.headers = {{"Accept", AcceptManifests()}};
    const Reply reply = requester_.Do(call, cancel);
    exists = reply.response.status == 200;
    // 405: a registry without HEAD; putting it again is only slower.
    if (!exists && reply.response.status != 404 &&
        reply.response.status != 405) {
      throw requester_.Failure(call, reply);
    }
  });
  return exists;
}

bool ClientImpl::BlobExists(const oci::Repository& repository,
                            const oci::Digest& digest,
                            const CancelToken& cancel) {
  bool exists = false;
  AtHome(repository, [&](const Endpoint& endpoint) {
    exists = BlobExistsAt(endpoint, repository, digest, "pull", cancel);
  });
  return exists;
}

bool ClientImpl::BlobExistsAt(const Endpoint& endpoint,
                              const oci::Repository& repository,
                              const oci::Digest& digest,
                              const std::string& actions,
                              const CancelToken& cancel) {
  const Call call = NewCall(endpoint, repository, "HEAD",
                            "/blobs/" + digest.ToString(), actions);
  const Reply reply = requester_.Do(call, cancel);
  if (reply.response.status == 200) return true;
  // 405: a registry without HEAD; uploading again is only slower.
  if (reply.response.status == 404 || reply.response.status == 405) {
    return false;
  }
  throw requester_.Failure(call, reply);
}

}  // namespace imgbuild::registry
