// One blob on its way out: mounted, sent in one piece, or continued where it
// broke.
#ifndef IMGBUILD_SRC_REGISTRY_BLOB_UPLOAD_H_
#define IMGBUILD_SRC_REGISTRY_BLOB_UPLOAD_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/registry/client.h"

#include "registry/requester.h"

namespace imgbuild::registry {

// Not thread-safe; one use.
class BlobUpload {
 public:
  // `base` is a call to the endpoint; its method, url and body are replaced.
  BlobUpload(Requester& requester, Call base, const oci::Descriptor& descriptor,
             BlobSource& source, std::function<void(uint64_t)> progress);

  // The caller has checked that the blob is not there. `mount_from` are paths
  // at the same endpoint.
  PushOutcome Run(const std::vector<std::string>& mount_from,
                  const CancelToken& cancel);

 private:
  enum class Step { kDone, kContinue, kNewSession };

  bool TryMount(const std::string& from, bool is_last,
                const CancelToken& cancel);
  void Start(const CancelToken& cancel);
  void TakeSession(const Reply& reply);
  Url ResolveLocation(const Reply& reply) const;
  // One request of the session: the whole, a chunk, or the closing PUT.
  Step Advance(Retry& retry, const CancelToken& cancel);
  Reply SendPiece(const std::string& method, uint64_t offset, uint64_t size,
                  const CancelToken& cancel);
  Step AfterPut(const Reply& reply, Retry& retry, const CancelToken& cancel);
  Step AfterPatch(const Reply& reply, uint64_t end, Retry& retry,
                  const CancelToken& cancel);
  Step AfterFailure(const CancelToken& cancel);
  // Asks the session how much it has. False: there is no such session.
  bool AskStatus(const CancelToken& cancel);
  void CancelSession(const CancelToken& cancel) noexcept;
  std::string What() const;

  Requester& requester_;
  const Call base_;
  const oci::Descriptor& descriptor_;
  BlobSource& source_;
  std::function<void(uint64_t)> progress_;

  std::optional<Url> location_;
  uint64_t offset_ = 0;      // what the session has
  uint64_t chunk_size_ = 0;  // 0: everything in one piece
  bool use_patch_ = false;   // the session has been begun in pieces
  bool retried_auth_ = false;
  unsigned sessions_ = 0;
};

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_BLOB_UPLOAD_H_
