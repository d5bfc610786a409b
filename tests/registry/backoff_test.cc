#include "registry/backoff.h"

#include <gtest/gtest.h>

namespace imgbuild::registry {
namespace {

using std::chrono::milliseconds;

std::optional<int64_t> Delay(FailureKind kind, unsigned failed,
                             std::optional<int64_t> retry_after = {},
                             double jitter = 0.5) {
  const auto delay =
      NextDelay(RetryPolicy{}, kind, failed, retry_after, jitter);
  if (!delay) return std::nullopt;
  return delay->count();
}

TEST(Backoff, DoublesUpToTheLastAttempt) {
  EXPECT_EQ(Delay(FailureKind::kServer, 1), 1000);
  EXPECT_EQ(Delay(FailureKind::kServer, 2), 2000);
  EXPECT_EQ(Delay(FailureKind::kServer, 3), 4000);
  EXPECT_EQ(Delay(FailureKind::kServer, 4), 8000);
  EXPECT_EQ(Delay(FailureKind::kServer, 5), std::nullopt);
}

TEST(Backoff, NobodyThereIsGivenUpSooner) {
  EXPECT_EQ(Delay(FailureKind::kConnect, 1), 500);
  EXPECT_EQ(Delay(FailureKind::kConnect, 2), 1000);
  EXPECT_EQ(Delay(FailureKind::kConnect, 3), std::nullopt);
}

TEST(Backoff, JitterSpreadsByAQuarter) {
  EXPECT_EQ(Delay(FailureKind::kTransfer, 1, {}, 0.0), 750);
  EXPECT_EQ(Delay(FailureKind::kTransfer, 1, {}, 0.999), 1249);
}

TEST(Backoff, RetryAfterIsALowerBoundWithALimit) {
  EXPECT_EQ(Delay(FailureKind::kThrottled, 1, 30), 30000);
  EXPECT_EQ(Delay(FailureKind::kThrottled, 1, 30, 0.0), 30000);
  EXPECT_EQ(Delay(FailureKind::kThrottled, 4, 1), 8000);
  EXPECT_EQ(Delay(FailureKind::kThrottled, 1, 120), 120000);
  EXPECT_EQ(Delay(FailureKind::kThrottled, 1, 121), std::nullopt);
}

TEST(Backoff, CapHolds) {
  RetryPolicy policy;
  policy.max_attempts = 40;
  EXPECT_EQ(NextDelay(policy, FailureKind::kServer, 39, {}, 0.5),
            milliseconds(30000));
}

TEST(Backoff, PermanentFailuresAreNotRetried) {
  EXPECT_EQ(Delay(FailureKind::kNone, 1, 5), std::nullopt);
}

TEST(Backoff, Statuses) {
  for (const int status : {408, 429}) {
    EXPECT_EQ(KindOfStatus(status), FailureKind::kThrottled) << status;
  }
  for (const int status : {499, 500, 502, 503, 504, 522}) {
    EXPECT_EQ(KindOfStatus(status), FailureKind::kServer) << status;
  }
  for (const int status :
       {200, 201, 206, 301, 400, 401, 403, 404, 405, 413, 416, 501}) {
    EXPECT_EQ(KindOfStatus(status), FailureKind::kNone) << status;
  }
}

}  // namespace
}  // namespace imgbuild::registry
