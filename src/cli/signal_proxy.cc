#include "cli/signal_proxy.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "imgbuild/util/error.h"

namespace imgbuild::cli {
namespace {

constexpr int kSignals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
constexpr int kPatience = 3;

// What the handler can reach.
volatile sig_atomic_t write_fd = -1;
volatile sig_atomic_t asked = 0;
CancelToken* cancel_token = nullptr;

extern "C" void HandleSignal(int number) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t n = ::write(write_fd, &byte, 1);
  if (number == SIGINT || number == SIGTERM) {
    asked = asked + 1;
    if (asked >= kPatience) cancel_token->Cancel();
  }
  errno = saved;
}

}  // namespace

SignalProxy::SignalProxy(CancelToken token) : token_(std::move(token)) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    throw ErrnoError("create", "pipe", errno);
  }
  read_end_.reset(ends[0]);
  write_end_.reset(ends[1]);
  cancel_token = &token_;
  asked = 0;
  write_fd = write_end_.get();
  struct sigaction action = {};
  action.sa_handler = HandleSignal;
  for (const int number : kSignals) ::sigaction(number, &action, nullptr);
}

SignalProxy::~SignalProxy() {
  // The container is gone: what comes now is for this program, which is about
  // to end.
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (const int number : kSignals) ::sigaction(number, &action, nullptr);
  write_fd = -1;
}

}  // namespace imgbuild::cli
