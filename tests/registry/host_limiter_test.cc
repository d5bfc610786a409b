#include "registry/host_limiter.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "imgbuild/util/error.h"

namespace imgbuild::registry {
namespace {

TEST(HostLimiter, NeverMoreThanTheLimit) {
  HostLimiter limiter(3);
  const CancelToken cancel;
  std::atomic<int> now{0};
  std::atomic<int> most{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&] {
      const auto slot = limiter.Acquire("h", cancel);
      const int count = ++now;
      int seen = most;
      while (count > seen && !most.compare_exchange_weak(seen, count)) {
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      --now;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(most, 3);
}

TEST(HostLimiter, HostsDoNotWaitForEachOther) {
  HostLimiter limiter(1);
  const CancelToken cancel;
  const auto one = limiter.Acquire("a", cancel);
  const auto two = limiter.Acquire("b", cancel);
}

TEST(HostLimiter, WaitingEndsWithTheCancel) {
  HostLimiter limiter(1);
  CancelToken cancel;
  const auto slot = limiter.Acquire("a", cancel);
  cancel.Cancel();
  EXPECT_THROW(static_cast<void>(limiter.Acquire("a", cancel)), Error);
}

}  // namespace
}  // namespace imgbuild::registry
