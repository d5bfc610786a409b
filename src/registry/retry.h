// One retry layer under token, HEAD, body and upload alike: counts failures,
// sleeps on the Clock, says what it is doing.
#ifndef IMGBUILD_SRC_REGISTRY_RETRY_H_
#define IMGBUILD_SRC_REGISTRY_RETRY_H_

#include <functional>
#include <optional>
#include <string>

#include "imgbuild/registry/client.h"
#include "imgbuild/registry/transport.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/clock.h"

#include "registry/backoff.h"

namespace imgbuild::registry {

class Retry {
 public:
  // `attempts` 0: as the options say.
  Retry(Clock& clock, const ClientOptions& options, unsigned attempts = 0);

  // After a failure: sleeps and returns true when another attempt is due.
  // Throws Error(kInterrupted) when cancelled meanwhile.
  bool Again(const TransportError& error, const CancelToken& cancel);
  bool Again(const HttpResponse& response, const CancelToken& cancel);
  bool Again(FailureKind kind, std::optional<int64_t> retry_after,
             const std::string& why, const CancelToken& cancel);
  // Something useful arrived: earlier failures are forgiven.
  void Forgive() { failed_ = 0; }

 private:
  Clock& clock_;
  const ClientOptions& options_;
  RetryPolicy policy_;
  unsigned failed_ = 0;
};

FailureKind KindOf(const TransportError& error);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_RETRY_H_
