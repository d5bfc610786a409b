// Cancellation of work in progress: Ctrl-C, or the failure of another branch.
#ifndef IMGBUILD_UTIL_CANCEL_H_
#define IMGBUILD_UTIL_CANCEL_H_

#include <memory>

namespace imgbuild {

// Copies share one state. Thread-safe; Cancel() is also async-signal-safe.
class CancelToken {
 public:
  CancelToken();
  void Cancel() noexcept;
  bool cancelled() const noexcept;
  // Throws Error(kInterrupted, "interrupted") when cancelled.
  void Check() const;
  // Becomes readable when cancelled: for poll() beside other descriptors.
  int fd() const noexcept;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_CANCEL_H_
