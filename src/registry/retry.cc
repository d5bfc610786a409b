#include "registry/retry.h"

#include <random>

#include "registry/http_headers.h"

namespace imgbuild::registry {

FailureKind KindOf(const TransportError& error) {
  if (!error.temporary()) return FailureKind::kNone;
  return error.kind() == TransportError::Kind::kConnect
             ? FailureKind::kConnect
             : FailureKind::kTransfer;
}

Retry::Retry(Clock& clock, const ClientOptions& options, unsigned attempts)
    : clock_(clock), options_(options) {
  policy_.max_attempts = attempts > 0 ? attempts : options.max_attempts;
}

bool Retry::Again(const TransportError& error, const CancelToken& cancel) {
  return Again(KindOf(error), std::nullopt, error.message(), cancel);
}

bool Retry::Again(const HttpResponse& response, const CancelToken& cancel) {
  return Again(KindOfStatus(response.status),
               ParseRetryAfter(response.headers, clock_.NowSeconds()),
               response.url + ": status " + std::to_string(response.status),
               cancel);
}

bool Retry::Again(FailureKind kind, std::optional<int64_t> retry_after,
                  const std::string& why, const CancelToken& cancel) {
  if (kind == FailureKind::kNone) return false;
  ++failed_;
  // Spreads the clients that were cut off at the same moment; nothing about
  // it needs to be secret or repeatable.
  std::minstd_rand random(std::random_device{}());
  const double jitter = std::uniform_real_distribution<double>(0, 1)(random);
  const auto delay = NextDelay(policy_, kind, failed_, retry_after, jitter);
  if (!delay) return false;
  if (options_.warn && failed_ > 1) {
    options_.warn(why + "; trying again in " +
                  std::to_string(delay->count() / 1000.0).substr(0, 4) + " s");
  }
  clock_.Sleep(*delay, cancel.fd());
  cancel.Check();
  return true;
}

}  // namespace imgbuild::registry
