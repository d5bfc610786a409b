// When to ask again: a pure function of what went wrong and how often.
#ifndef IMGBUILD_SRC_REGISTRY_BACKOFF_H_
#define IMGBUILD_SRC_REGISTRY_BACKOFF_H_

#include <chrono>
#include <cstdint>
#include <optional>

namespace imgbuild::registry {

enum class FailureKind {
  kNone,       // not worth another try
  kConnect,    // nobody answered: refused, unreachable, DNS gave nothing yet
  kTransfer,   // reset, EOF, idle, a short body
  kThrottled,  // 429 (and 408)
  kServer,     // 500, 502, 503, 504, 499, 522
};

// The kind of failure that an HTTP status is.
FailureKind KindOfStatus(int status);

struct RetryPolicy {
  unsigned max_attempts = 5;
  std::chrono::milliseconds base{1000};
  std::chrono::milliseconds cap{30000};
  // A registry that asks for more patience than this is not waited for.
  std::chrono::seconds max_retry_after{120};
};

// The pause before attempt number `failed + 1`, where `failed` attempts have
// failed so far; nullopt: give up. `jitter` is in [0, 1) and spreads the pause
// over 75 % to 125 %, never below what Retry-After asks for.
std::optional<std::chrono::milliseconds> NextDelay(
    const RetryPolicy& policy, FailureKind kind, unsigned failed,
    std::optional<int64_t> retry_after_seconds, double jitter);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_BACKOFF_H_
