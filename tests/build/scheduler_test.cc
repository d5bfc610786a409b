#include "build/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <mutex>
#include <random>

#include "imgbuild/util/error.h"

namespace imgbuild::build {
namespace {

using Edges = std::vector<std::vector<uint32_t>>;

TEST(SchedulerTest, NothingToDo) {
  CancelToken cancel;
  RunGraph({}, 4, cancel, [](uint32_t) { FAIL(); });
}

TEST(SchedulerTest, EveryVertexOnceAndAfterWhatItNeeds) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    Edges edges(60);
    for (uint32_t i = 1; i < edges.size(); ++i) {
      for (uint32_t n = random() % 4; n > 0; --n) {
        edges[i].push_back(static_cast<uint32_t>(random() % i));
      }
    }
    std::mutex mutex;
    std::vector<int> done(edges.size(), 0);
    CancelToken cancel;
    RunGraph(edges, 1 + random() % 8, cancel, [&](uint32_t index) {
      const std::scoped_lock lock(mutex);
      for (const uint32_t need : edges[index]) EXPECT_EQ(done[need], 1);
      ++done[index];
    });
    EXPECT_EQ(done, std::vector<int>(edges.size(), 1));
  }
}

TEST(SchedulerTest, OneThreadGoesInTheOrderOfTheDockerfile) {
  std::vector<uint32_t> order;
  CancelToken cancel;
  RunGraph({{}, {}, {0}, {}, {1, 2}}, 1, cancel,
           [&](uint32_t index) { order.push_back(index); });
  EXPECT_EQ(order, (std::vector<uint32_t>{0, 1, 2, 3, 4}));
}

TEST(SchedulerTest, IndependentVerticesRunAtTheSameTime) {
  std::latch all(3);
  CancelToken cancel;
  // Would wait for ever if one had to end before another began.
  RunGraph({{}, {}, {}}, 3, cancel, [&](uint32_t) { all.arrive_and_wait(); });
}

TEST(SchedulerTest, TheFirstErrorStopsTheRestAndWins) {
  std::atomic<int> ran{0};
  CancelToken cancel;
  try {
    RunGraph({{}, {0}, {1}}, 2, cancel, [&](uint32_t index) {
      ++ran;
      if (index == 1) throw Error(ErrorCode::kStep, "step 1 failed");
    });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "step 1 failed");
  }
  EXPECT_EQ(ran, 2);
  EXPECT_TRUE(cancel.cancelled());
}

TEST(SchedulerTest, ACancellationNeverHidesTheErrorThatCausedIt) {
  for (int round = 0; round < 20; ++round) {
    std::latch both(2);
    CancelToken cancel;
    try {
      RunGraph({{}, {}}, 2, cancel, [&](uint32_t index) {
        both.arrive_and_wait();
        if (index == 0) throw Error(ErrorCode::kStep, "the cause");
        while (!cancel.cancelled()) std::this_thread::yield();
        cancel.Check();
      });
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "the cause");
    }
  }
}

TEST(SchedulerTest, CancelledBeforeItBegins) {
  CancelToken cancel;
  cancel.Cancel();
  try {
    RunGraph({{}}, 2, cancel, [](uint32_t) { FAIL(); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
}

}  // namespace
}  // namespace imgbuild::build
