// One blob on its way in: hashed, counted, resumed where it broke.
#ifndef IMGBUILD_SRC_REGISTRY_BLOB_DOWNLOAD_H_
#define IMGBUILD_SRC_REGISTRY_BLOB_DOWNLOAD_H_

#include <memory>
#include <optional>
#include <string>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/registry/transport.h"

#include "registry/requester.h"

namespace imgbuild::registry {

// Keeps its state from endpoint to endpoint: bytes that came from a mirror
// that died are not fetched twice. Not thread-safe.
class BlobDownload : private ResponseSink, private Writer {
 public:
  BlobDownload(Requester& requester, const oci::Descriptor& descriptor,
               BlobSink& sink, std::string what);

  // All of it from `call` (a GET), or an Error. The sink has everything and
  // everything is right when it returns.
  void Run(const Call& call, const CancelToken& cancel);

 private:
  enum class Step { kDone, kAgain, kRestart };

  void KeepWhatIsThere();
  Step Attempt(Call call, Retry& retry, const CancelToken& cancel);
  Step AfterResponse(const Call& call, const Reply& reply, Retry& retry,
                     const CancelToken& cancel);
  void Restart();
  bool DigestIsRight();
  void ForgiveProgress(Retry& retry);

  Writer* Begin(const HttpResponse& response) override;
  void Write(Bytes bytes) override;

  Requester& requester_;
  const oci::Descriptor& descriptor_;
  BlobSink& sink_;
  const std::string what_;
  std::optional<oci::Hasher> hasher_;
  uint64_t received_ = 0;
  uint64_t skip_ = 0;        // of a 200 that repeats what we have
  uint64_t asked_from_ = 0;  // of the request in flight
  uint64_t last_failure_at_ = 0;
  bool started_ = false;
  unsigned restarts_ = 0;
  bool wrong_range_ = false;
  bool sink_failed_ = false;
  bool no_ranges_ = false;  // this server's ranges are not to be trusted
  bool patched_ = false;    // what we have came in more than one piece
};

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_BLOB_DOWNLOAD_H_
