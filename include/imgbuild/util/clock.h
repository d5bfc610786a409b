// The time of day, behind a seam so that tests decide what it is.
#ifndef IMGBUILD_UTIL_CLOCK_H_
#define IMGBUILD_UTIL_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace imgbuild {

class Clock {
 public:
  virtual ~Clock() = default;
  // Seconds since 1970, UTC.
  virtual int64_t NowSeconds() const = 0;
  // A monotonic reading, for durations.
  virtual std::chrono::nanoseconds Monotonic() const = 0;
  // Returns early, with false, when `cancel_fd` (if not -1) becomes readable.
  virtual bool Sleep(std::chrono::milliseconds duration, int cancel_fd) = 0;
};

// The real one. Stateless, lives for ever.
Clock& SystemClock();

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_CLOCK_H_
