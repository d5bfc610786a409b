// The distribution-spec client: one for build, pull, push, lock and cache.
// Every byte is verified against its digest before anybody can name it;
// requests are retried with back-off, bodies resumed by Range; credentials go
// to the configured host only.
#ifndef IMGBUILD_REGISTRY_CLIENT_H_
#define IMGBUILD_REGISTRY_CLIENT_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/registry/config.h"
#include "imgbuild/registry/transport.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"

namespace imgbuild::registry {

struct ClientOptions {
  unsigned max_attempts = 5;
  unsigned per_host_connections = 6;
  // A response or an upload that stands still for this long is broken.
  std::chrono::milliseconds idle_timeout{30000};
  // A blob goes out in one request; in pieces of this size where the registry
  // refuses that (413).
  uint64_t chunk_bytes = 64u << 20;
  // Foreign layers may be fetched from their own urls.
  bool allow_foreign_urls = false;
  // "REGISTRY=TOKENHOST": token servers on another host that may see the
  // credentials of a registry, beside the well-known pairs.
  std::vector<std::string> trusted_realms;
  std::function<void(const std::string&)> warn;  // Warning: headers, fall-backs
};

// The registry answered, and has no such manifest. (`lock verify` tells what is
// gone from what could not be asked.)
class NotFoundError : public Error {
 public:
  explicit NotFoundError(std::string message)
      : Error(ErrorCode::kRegistry, std::move(message)) {}
};
// What came has another digest than was asked for or announced.
class WrongDigestError : public Error {
 public:
  explicit WrongDigestError(std::string message)
      : Error(ErrorCode::kRegistry, std::move(message)) {}
};

// A blob being received: Write() gets its bytes in order, each once, unless
// Restart() says that everything begins again.
class BlobSink : public Writer {
 public:
  // Bytes already there from an earlier, broken attempt (other runs too).
  virtual uint64_t Resume() { return 0; }
  // Passes those bytes to `to`, which hashes them: the digest is of the whole.
  // False (the default): they cannot be read, so the download begins at 0
  // after a Restart().
  virtual bool ReadKept(Writer& to) {
    static_cast<void>(to);
    return false;
  }
  // Drops everything, the kept bytes too.
  virtual void Restart() = 0;
  // True: the sink hashes everything it has, the kept bytes too, and refuses
  // to publish what does not match (the store's Ingest does). The client then
  // counts bytes but does not hash them a second time, and ReadKept() is not
  // asked for.
  virtual bool ChecksDigest() const { return false; }
};

// A blob being sent; read again from any offset after a broken chunk.
class BlobSource {
 public:
  virtual ~BlobSource() = default;
  virtual uint64_t size() const = 0;
  virtual std::unique_ptr<Reader> ReadFrom(uint64_t offset) = 0;
};

// What it took to have a blob over there.
struct PushOutcome {
  enum Kind { kUploaded, kExists, kMounted };
  PushOutcome(Kind what, std::string from = "")  // NOLINT: implicit
      : kind(what), mounted_from(std::move(from)) {}
  bool operator==(const PushOutcome&) const = default;

  Kind kind;
  // kMounted: the path of a repository of the same registry.
  std::string mounted_from;
};

// Thread-safe.
class Client {
 public:
  virtual ~Client() = default;

  // Name -> descriptor (digest, size, media type): one HEAD, or a GET when the
  // registry does not answer that well. A reference with a digest asks for the
  // digest. Throws Error(kRegistry): `manifest for NAME not found: …`.
  virtual oci::Descriptor Resolve(const oci::Reference& reference,
                                  const CancelToken& cancel) = 0;
  // The manifest or index itself; by digest when the reference has one.
  virtual oci::Document FetchDocument(const oci::Reference& reference,
                                      const CancelToken& cancel) = 0;
  // A verified small blob (a config).
  virtual std::string FetchSmallBlob(const oci::Repository& repository,
                                     const oci::Descriptor& descriptor,
                                     size_t cap, const CancelToken& cancel) = 0;
  // Streams a blob. Returns only when size and digest of everything written
  // are right (the size alone, for a sink that ChecksDigest()). The sink must
  // not publish before.
  virtual void FetchBlob(const oci::Repository& repository,
                         const oci::Descriptor& descriptor, BlobSink& sink,
                         const CancelToken& cancel) = 0;

  // One HEAD.
  virtual bool DocumentExists(const oci::Reference& reference,
                              const CancelToken& cancel) = 0;
  virtual bool BlobExists(const oci::Repository& repository,
                          const oci::Digest& digest,
                          const CancelToken& cancel) = 0;
  // Uploads unless it is there; tries a mount from `mount_from` (same host)
  // first.
  virtual PushOutcome PushBlob(
      const oci::Repository& repository, const oci::Descriptor& descriptor,
      BlobSource& source, const std::vector<oci::Repository>& mount_from,
      const std::function<void(uint64_t sent)>& progress,
      const CancelToken& cancel) = 0;
  // PUT of the exact bytes, under the tag or the digest of `reference`.
  // Verifies the digest the registry reports.
  virtual void PushDocument(const oci::Reference& reference,
                            const oci::Document& document,
                            const CancelToken& cancel) = 0;
  virtual std::vector<std::string> ListTags(const oci::Repository& repository,
                                            const CancelToken& cancel) = 0;
  // What refers to `subject` (signatures, provenance, bills of materials), of
  // one artifact type or, with "", of any. From the referrers API, else from
  // the tag that stands in for it; none is an empty list.
  virtual std::vector<oci::Descriptor> ListReferrers(
      const oci::Repository& repository, const oci::Digest& subject,
      const std::string& artifact_type, const CancelToken& cancel) = 0;
  // After `document`, which has a subject, was pushed: where the registry keeps
  // no list of referrers, adds it to the tag that stands in for the list.
  virtual void LinkReferrer(const oci::Repository& repository,
                            const oci::Document& document,
                            const CancelToken& cancel) = 0;
  // GET /v2/ with these credentials: for `login`.
  virtual void CheckCredentials(const std::string& host,
                                const Credentials& credentials,
                                const CancelToken& cancel) = 0;
};

// All arguments must outlive the client.
std::unique_ptr<Client> NewClient(HttpTransport& transport, HostConfig& hosts,
                                  CredentialSource& credentials, Clock& clock,
                                  ClientOptions options = {});

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_CLIENT_H_
