#include "registry/host_limiter.h"

#include <chrono>

namespace imgbuild::registry {

HostLimiter::Slot HostLimiter::Acquire(const std::string& host,
                                       const CancelToken& cancel) {
  std::unique_lock lock(mutex_);
  // A condition variable cannot wait for a descriptor; nobody notices that
  // Ctrl-C takes a tenth of a second here.
  while (used_[host] >= limit_) {
    cancel.Check();
    freed_.wait_for(lock, std::chrono::milliseconds(100));
  }
  ++used_[host];
  return {*this, host};
}

void HostLimiter::Release(const std::string& host) noexcept {
  {
    const std::lock_guard lock(mutex_);
    const auto found = used_.find(host);
    if (found != used_.end() && found->second > 0) --found->second;
  }
  freed_.notify_all();
}

}  // namespace imgbuild::registry
