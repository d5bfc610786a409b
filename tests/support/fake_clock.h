// A Clock that only moves when somebody sleeps, and remembers for how long.
#ifndef IMGBUILD_TESTS_SUPPORT_FAKE_CLOCK_H_
#define IMGBUILD_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <chrono>
#include <mutex>
#include <vector>

#include "imgbuild/util/clock.h"

namespace imgbuild::testing {

class FakeClock : public Clock {
 public:
  // 2026-01-01T00:00:00Z
  explicit FakeClock(int64_t start = 1767225600) : start_(start) {}

  int64_t NowSeconds() const override {
    return start_ +
           std::chrono::duration_cast<std::chrono::seconds>(Monotonic())
               .count();
  }
  std::chrono::nanoseconds Monotonic() const override {
    const std::lock_guard lock(mutex_);
    return elapsed_;
  }
  bool Sleep(std::chrono::milliseconds duration, int) override {
    const std::lock_guard lock(mutex_);
    elapsed_ += duration;
    sleeps_.push_back(duration);
    return true;
  }
  // Also back.
  void SetSeconds(int64_t now) {
    const std::lock_guard lock(mutex_);
    elapsed_ = std::chrono::seconds(now - start_);
  }
  void Advance(std::chrono::nanoseconds by) {
    const std::lock_guard lock(mutex_);
    elapsed_ += by;
  }
  std::vector<std::chrono::milliseconds> sleeps() const {
    const std::lock_guard lock(mutex_);
    return sleeps_;
  }

 private:
  const int64_t start_;
  mutable std::mutex mutex_;
  std::chrono::nanoseconds elapsed_{0};
  std::vector<std::chrono::milliseconds> sleeps_;
};

}  // namespace imgbuild::testing

#endif  // IMGBUILD_TESTS_SUPPORT_FAKE_CLOCK_H_
