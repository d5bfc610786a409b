#include "imgbuild/util/ahead.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

namespace imgbuild {
namespace {

TEST(Ahead, GivesResultsInTheOrderOfTheJobs) {
  ThreadPool pool(3);
  Ahead<int> ahead(pool);
  for (int i = 0; i < 100; ++i) {
    ahead.Push([i] {
      if (i % 3 == 0) std::this_thread::yield();
      return i;
    });
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(ahead.Pop(), i);
  EXPECT_EQ(ahead.waiting(), 0u);
}

TEST(Ahead, RethrowsWhereTheResultWouldBe) {
  ThreadPool pool(2);
  Ahead<int> ahead(pool);
  ahead.Push([] { return 1; });
  ahead.Push([]() -> int { throw std::runtime_error("no"); });
  ahead.Push([] { return 3; });
  EXPECT_EQ(ahead.Pop(), 1);
  EXPECT_THROW(ahead.Pop(), std::runtime_error);
  EXPECT_EQ(ahead.Pop(), 3);
}

// The only thread of the pool waits for jobs that it would have to run itself.
TEST(Ahead, MayBeUsedInsideAJobOfItsOwnPool) {
  ThreadPool pool(1);
  const int sum = pool.Submit([&pool] {
                        Ahead<int> ahead(pool);
                        for (int i = 0; i < 10; ++i) {
                          ahead.Push([i] { return i; });
                        }
                        int total = 0;
                        while (ahead.waiting() > 0) total += ahead.Pop();
                        return total;
                      })
                      .get();
  EXPECT_EQ(sum, 45);
}

TEST(Ahead, GoingAwayWaitsForWhatHasBegunAndDropsTheRest) {
  ThreadPool pool(1);
  std::atomic<bool> begun = false;
  std::atomic<int> ended = 0;
  {
    Ahead<int> ahead(pool);
    ahead.Push([&] {
      begun = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      return ++ended;
    });
    for (int i = 0; i < 5; ++i) ahead.Push([&] { return ++ended; });
    while (!begun) std::this_thread::yield();
  }
  EXPECT_EQ(ended, 1);
}

}  // namespace
}  // namespace imgbuild
