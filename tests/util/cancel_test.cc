#include "imgbuild/util/cancel.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include <cerrno>
#include <thread>

#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"

namespace imgbuild {
namespace {

bool Readable(int fd) {
  pollfd entry{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 1;
}

TEST(CancelToken, CopiesShareOneState) {
  CancelToken token;
  const CancelToken copy = token;
  EXPECT_FALSE(copy.cancelled());
  EXPECT_FALSE(Readable(copy.fd()));
  copy.Check();
  token.Cancel();
  token.Cancel();
  EXPECT_TRUE(copy.cancelled());
  EXPECT_TRUE(Readable(copy.fd()));
  try {
    copy.Check();
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kInterrupted);
    EXPECT_EQ(e.message(), "interrupted");
  }
}

CancelToken* signal_token = nullptr;

TEST(CancelToken, MayBeCancelledInASignalHandler) {
  CancelToken token;
  signal_token = &token;
  struct sigaction action = {};
  struct sigaction before;
  action.sa_handler = [](int) { signal_token->Cancel(); };
  ASSERT_EQ(::sigaction(SIGUSR1, &action, &before), 0);
  errno = EXDEV;
  ::raise(SIGUSR1);
  EXPECT_EQ(errno, EXDEV);
  ::sigaction(SIGUSR1, &before, nullptr);
  EXPECT_TRUE(token.cancelled());
}

TEST(SystemClock, SleepsAsLongAsAsked) {
  Clock& clock = SystemClock();
  const auto begin = clock.Monotonic();
  EXPECT_TRUE(clock.Sleep(std::chrono::milliseconds(20), -1));
  EXPECT_GE(clock.Monotonic() - begin, std::chrono::milliseconds(20));
  EXPECT_TRUE(clock.Sleep(std::chrono::milliseconds(0), -1));
}

TEST(SystemClock, SleepEndsWhenCancelled) {
  CancelToken token;
  std::thread thread([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    token.Cancel();
  });
  EXPECT_FALSE(SystemClock().Sleep(std::chrono::minutes(5), token.fd()));
  thread.join();
}

TEST(SystemClock, KnowsTheTime) {
  EXPECT_GT(SystemClock().NowSeconds(), 1'600'000'000);
}

}  // namespace
}  // namespace imgbuild
