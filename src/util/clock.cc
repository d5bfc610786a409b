#include "imgbuild/util/clock.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "imgbuild/util/error.h"

namespace imgbuild {
namespace {

class RealClock : public Clock {
 public:
  int64_t NowSeconds() const override { return ::time(nullptr); }

  std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::steady_clock::now().time_since_epoch();
  }

  bool Sleep(std::chrono::milliseconds duration, int cancel_fd) override {
    const auto end = Monotonic() + duration;
    for (;;) {
      // Rounded up: waking before the time would make a loop spin.
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(
          std::max(end - Monotonic(), std::chrono::nanoseconds(0)));
      pollfd entry{.fd = cancel_fd, .events = POLLIN, .revents = 0};
      const int timeout =
          static_cast<int>(std::min<int64_t>(left.count(), INT_MAX));
      // A negative descriptor is one that poll() passes over.
      const int n = ::poll(&entry, 1, timeout);
      if (n > 0) return false;
      if (n < 0 && errno != EINTR) throw ErrnoError("poll", "", errno);
      if (n == 0 && Monotonic() >= end) return true;
    }
  }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

}  // namespace imgbuild
