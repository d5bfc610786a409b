#include "transfer/window_budget.h"

#include <chrono>

namespace imgbuild::transfer {
namespace {

// How often someone who waits looks whether it was cancelled.
constexpr std::chrono::milliseconds kLook{100};

uint64_t LittleEndian(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  }
  return value;
}

}  // namespace

uint64_t ZstdWindow(std::span<const std::byte> head) {
  if (head.size() < 6 || LittleEndian(head.first(4)) != 0xFD2FB528) return 0;
  const auto descriptor = std::to_integer<unsigned>(head[4]);
  const bool single_segment = (descriptor & 0x20) != 0;
  if (!single_segment) {
    const auto window = std::to_integer<unsigned>(head[5]);
    const uint64_t base = uint64_t{1} << (10 + (window >> 3));
    return base + base / 8 * (window & 7);
  }
  // The content is the window; its size follows the dictionary's id.
  constexpr size_t kIdBytes[] = {0, 1, 2, 4};
  constexpr size_t kSizeBytes[] = {1, 2, 4, 8};
  const size_t at = 5 + kIdBytes[descriptor & 3];
  const size_t length = kSizeBytes[descriptor >> 6];
  if (head.size() < at + length) return 0;
  return LittleEndian(head.subspan(at, length)) + (length == 2 ? 256 : 0);
}

WindowBudget::Grant::~Grant() {
  if (budget_ == nullptr) return;
  {
    const std::scoped_lock lock(budget_->mutex_);
    budget_->used_ -= bytes_;
  }
  budget_->given_back_.notify_all();
}

WindowBudget::Grant WindowBudget::Try(uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (!Fits(bytes)) return {};
  used_ += bytes;
  return {*this, bytes};
}

WindowBudget::Grant WindowBudget::Take(uint64_t bytes,
                                       const CancelToken& cancel) {
  std::unique_lock lock(mutex_);
  while (!Fits(bytes)) {
    cancel.Check();
    given_back_.wait_for(lock, kLook);
  }
  used_ += bytes;
  return {*this, bytes};
}

}  // namespace imgbuild::transfer
