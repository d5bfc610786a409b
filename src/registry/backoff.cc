#include "registry/backoff.h"

#include <algorithm>

namespace imgbuild::registry {
namespace {

// A registry that nobody answers for is mostly a wrong name or a wrong port:
// say so within two seconds, but survive a restart.
constexpr unsigned kConnectAttempts = 3;
constexpr std::chrono::milliseconds kConnectBase{500};

}  // namespace

FailureKind KindOfStatus(int status) {
  switch (status) {
    case 408:
    case 429:
      return FailureKind::kThrottled;
    case 499:
    case 500:
    case 502:
    case 503:
    case 504:
    case 522:
      return FailureKind::kServer;
    default:
      return FailureKind::kNone;
  }
}

std::optional<std::chrono::milliseconds> NextDelay(
    const RetryPolicy& policy, FailureKind kind, unsigned failed,
    std::optional<int64_t> retry_after_seconds, double jitter) {
  if (kind == FailureKind::kNone) return std::nullopt;
  unsigned attempts = policy.max_attempts;
  std::chrono::milliseconds delay = policy.base;
  if (kind == FailureKind::kConnect) {
    attempts = std::min(attempts, kConnectAttempts);
    delay = std::min(delay, kConnectBase);
  }
  if (failed >= attempts) return std::nullopt;
  for (unsigned i = 1; i < failed && delay < policy.cap; ++i) delay *= 2;
  delay = std::min(delay, policy.cap);
  delay = std::chrono::milliseconds(static_cast<int64_t>(
      static_cast<double>(delay.count()) * (0.75 + 0.5 * jitter)));
  if (retry_after_seconds) {
    const std::chrono::seconds asked(*retry_after_seconds);
    if (asked > policy.max_retry_after) return std::nullopt;
    delay = std::max<std::chrono::milliseconds>(delay, asked);
  }
  return delay;
}

}  // namespace imgbuild::registry
