// The client's own class: one file per thing it does (client.cc names and
// documents, blob_download.cc, client_push.cc, client_list.cc).
#ifndef IMGBUILD_SRC_REGISTRY_CLIENT_IMPL_H_
#define IMGBUILD_SRC_REGISTRY_CLIENT_IMPL_H_

#include <functional>
#include <string>
#include <vector>

#include "imgbuild/registry/client.h"

#include "registry/host_limiter.h"
#include "registry/requester.h"

namespace imgbuild::registry {

class ClientImpl : public Client {
 public:
  ClientImpl(HttpTransport& transport, HostConfig& hosts,
             CredentialSource& credentials, Clock& clock,
             ClientOptions options);

  oci::Descriptor Resolve(const oci::Reference& reference,
                          const CancelToken& cancel) override;
  oci::Document FetchDocument(const oci::Reference& reference,
                              const CancelToken& cancel) override;
  std::string FetchSmallBlob(const oci::Repository& repository,
                             const oci::Descriptor& descriptor, size_t cap,
                             const CancelToken& cancel) override;
  void FetchBlob(const oci::Repository& repository,
                 const oci::Descriptor& descriptor, BlobSink& sink,
                 const CancelToken& cancel) override;
  bool DocumentExists(const oci::Reference& reference,
                      const CancelToken& cancel) override;
  bool BlobExists(const oci::Repository& repository, const oci::Digest& digest,
                  const CancelToken& cancel) override;
  PushOutcome PushBlob(const oci::Repository& repository,
                       const oci::Descriptor& descriptor, BlobSource& source,
                       const std::vector<oci::Repository>& mount_from,
                       const std::function<void(uint64_t sent)>& progress,
                       const CancelToken& cancel) override;
  void PushDocument(const oci::Reference& reference,
                    const oci::Document& document,
                    const CancelToken& cancel) override;
  std::vector<std::string> ListTags(const oci::Repository& repository,
                                    const CancelToken& cancel) override;
  std::vector<oci::Descriptor> ListReferrers(
      const oci::Repository& repository, const oci::Digest& subject,
      const std::string& artifact_type, const CancelToken& cancel) override;
  void LinkReferrer(const oci::Repository& repository,
                    const oci::Document& document,
                    const CancelToken& cancel) override;
  void CheckCredentials(const std::string& host, const Credentials& credentials,
                        const CancelToken& cancel) override;

 private:
  // Tries `attempt` at each endpoint until one does not throw; what the
  // registry itself (the last) threw is thrown, with notes about the mirrors.
  // An endpoint that may be plain http is tried so when TLS does not work.
  void AtEachEndpoint(const oci::Repository& repository, bool by_digest,
                      const CancelToken& cancel,
                      const std::function<void(const Endpoint&)>& attempt);
  void AtEndpoint(const Endpoint& endpoint,
                  const std::function<void(const Endpoint&)>& attempt);
  // Where things are pushed to: never a mirror.
  void AtHome(const oci::Repository& repository,
              const std::function<void(const Endpoint&)>& attempt);

  Call NewCall(const Endpoint& endpoint, const oci::Repository& repository,
               const std::string& method, const std::string& path,
               const std::string& actions) const;
  std::vector<oci::Descriptor> ReferrersFromTag(
      const Endpoint& endpoint, const oci::Repository& repository,
      const oci::Digest& subject, const CancelToken& cancel);
  oci::Descriptor ResolveAt(const Endpoint& endpoint,
                            const oci::Reference& reference,
                            const CancelToken& cancel);
  oci::Document DocumentAt(const Endpoint& endpoint,
                           const oci::Reference& reference,
                           const CancelToken& cancel);
  bool BlobExistsAt(const Endpoint& endpoint, const oci::Repository& repository,
                    const oci::Digest& digest, const std::string& actions,
                    const CancelToken& cancel);
  bool FetchForeign(const oci::Repository& repository,
                    const oci::Descriptor& descriptor, BlobSink& sink,
                    const CancelToken& cancel);

  const ClientOptions options_;
  HostConfig& hosts_;
  HttpTransport& transport_;
  Requester requester_;
  HostLimiter downloads_;
  // Apart from downloads_: a copy between registries holds one of each.
  HostLimiter uploads_;
  std::mutex mutex_;
  std::map<std::string, std::string> plain_http_;  // https base -> http base
};

// Both families always: some registries convert for clients that ask for less.
std::string AcceptManifests();
// `name` not found …: how a 404 is told.
NotFoundError NotFound(const std::string& what, const Error& reason);
// Docker-Content-Digest, validated; throws when it is there and malformed.
std::optional<oci::Digest> DigestHeader(const std::string& what,
                                        const Headers& headers);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_CLIENT_IMPL_H_
