// Memory for zstd windows: an image may have many layers, each of which asks
// its decoder to keep up to 128 MiB.
#ifndef IMGBUILD_TRANSFER_WINDOW_BUDGET_H_
#define IMGBUILD_TRANSFER_WINDOW_BUDGET_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"

namespace imgbuild::transfer {

// Usual windows (zstd up to -19, and the default of every builder) are not
// counted: one for each layer at once is little.
constexpr uint64_t kUsualWindow = 8u << 20;
// Bytes of a zstd frame that say how large its window is.
constexpr size_t kZstdHead = 18;

// What the frame that begins with `head` asks a decoder to keep, in bytes
// (RFC 8878 3.1.1.1). 0 when it is no zstd frame or too short to tell.
uint64_t ZstdWindow(std::span<const std::byte> head);

// Wide windows in use at one time. A window larger than the whole budget is
// granted when no other one is. Thread-safe.
class WindowBudget {
 public:
  explicit WindowBudget(uint64_t bytes = 32u << 20) : limit_(bytes) {}

  // A share of the budget while it lives; an empty one is no share.
  class Grant {
   public:
    Grant() = default;
    Grant(WindowBudget& budget, uint64_t bytes)
        : budget_(&budget), bytes_(bytes) {}
    Grant(Grant&& other) noexcept
        : budget_(other.budget_), bytes_(other.bytes_) {
      other.budget_ = nullptr;
    }
    Grant& operator=(Grant&&) = delete;
    ~Grant();
    explicit operator bool() const { return budget_ != nullptr; }

   private:
    WindowBudget* budget_ = nullptr;
    uint64_t bytes_ = 0;
  };

  // Empty when others have too much of it now.
  Grant Try(uint64_t bytes);
  // Waits for the others. Throws when cancelled.
  Grant Take(uint64_t bytes, const CancelToken& cancel);

 private:
  bool Fits(uint64_t bytes) const {
    return used_ == 0 || (bytes <= limit_ && used_ <= limit_ - bytes);
  }

  const uint64_t limit_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  uint64_t used_ = 0;
};

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_WINDOW_BUDGET_H_
