// Signals to this program become bytes in a pipe, for the container in the
// foreground.
#ifndef IMGBUILD_CLI_SIGNAL_PROXY_H_
#define IMGBUILD_CLI_SIGNAL_PROXY_H_

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::cli {

// While it lives SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1 and SIGUSR2 are not
// this program's: each is one byte on fd(). The third SIGINT or SIGTERM
// cancels `token`, as Docker's client gives up then. One at a time.
class SignalProxy {
 public:
  explicit SignalProxy(CancelToken token);
  ~SignalProxy();
  SignalProxy(const SignalProxy&) = delete;
  SignalProxy& operator=(const SignalProxy&) = delete;
  int fd() const { return read_end_.get(); }

 private:
  CancelToken token_;
  UniqueFd read_end_;
  UniqueFd write_end_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_SIGNAL_PROXY_H_
