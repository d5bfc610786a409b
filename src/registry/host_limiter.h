// At most so many bodies at a time from one host. Small requests are not
// counted: a blob that waits for its turn must not keep a token from coming.
#ifndef IMGBUILD_SRC_REGISTRY_HOST_LIMITER_H_
#define IMGBUILD_SRC_REGISTRY_HOST_LIMITER_H_

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>

#include "imgbuild/util/cancel.h"

namespace imgbuild::registry {

class HostLimiter {
 public:
  explicit HostLimiter(unsigned limit) : limit_(limit == 0 ? 1 : limit) {}

  class Slot {
   public:
    Slot(HostLimiter& owner, std::string host)
        : owner_(owner), host_(std::move(host)) {}
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() { owner_.Release(host_); }

   private:
    HostLimiter& owner_;
    std::string host_;
  };
  // Blocks until there is room; throws Error(kInterrupted) when cancelled.
  [[nodiscard]] Slot Acquire(const std::string& host,
                             const CancelToken& cancel);

 private:
  void Release(const std::string& host) noexcept;

  const unsigned limit_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::map<std::string, unsigned> used_;
};

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_HOST_LIMITER_H_
