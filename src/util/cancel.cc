#include "imgbuild/util/cancel.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>

#include "imgbuild/util/error.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild {

struct CancelToken::State {
  std::atomic<bool> cancelled = false;
  UniqueFd event;
};

// The signal handler relies on it.
static_assert(std::atomic<bool>::is_always_lock_free);

CancelToken::CancelToken() : state_(std::make_shared<State>()) {
  state_->event.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state_->event) throw ErrnoError("eventfd", "", errno);
}

void CancelToken::Cancel() noexcept {
  const int saved_errno = errno;  // a signal handler must not disturb it
  state_->cancelled.store(true);
  const uint64_t one = 1;
  // Can only fail when the counter is full, and then it is readable already.
  [[maybe_unused]] const ssize_t n =
      ::write(state_->event.get(), &one, sizeof one);
  errno = saved_errno;
}

bool CancelToken::cancelled() const noexcept {
  return state_->cancelled.load();
}

void CancelToken::Check() const {
  if (cancelled()) throw Error(ErrorCode::kInterrupted, "interrupted");
}

int CancelToken::fd() const noexcept { return state_->event.get(); }

}  // namespace imgbuild
