#include "imgbuild/util/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <set>
#include <stdexcept>

namespace imgbuild {
namespace {

TEST(ThreadPool, ReturnsResults) {
  ThreadPool pool(3);
  EXPECT_EQ(pool.size(), 3u);
  std::vector<std::future<int>> results;
  for (int i = 0; i < 200; ++i) {
    results.push_back(pool.Submit([i] { return i * i; }));
  }
  for (int i = 0; i < 200; ++i) EXPECT_EQ(results[i].get(), i * i);
}

TEST(ThreadPool, PassesExceptionsOn) {
  ThreadPool pool(1);
  auto bad = pool.Submit([]() -> int { throw std::runtime_error("no"); });
  auto good = pool.Submit([] { return 1; });
  EXPECT_THROW(bad.get(), std::runtime_error);
  EXPECT_EQ(good.get(), 1);
}

TEST(ThreadPool, RunsAsManyJobsAtOnceAsItHasThreads) {
  ThreadPool pool(4);
  std::atomic<int> inside = 0;
  std::vector<std::future<void>> results;
  for (int i = 0; i < 4; ++i) {
    results.push_back(pool.Submit([&] {
      ++inside;
      while (inside < 4) std::this_thread::yield();  // all four must be here
    }));
  }
  for (auto& result : results) {
    ASSERT_EQ(result.wait_for(std::chrono::seconds(30)),
              std::future_status::ready);
  }
}

TEST(ThreadPool, NeverUsesMoreThreadsThanAsked) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  {
    ThreadPool pool(2);
    for (int i = 0; i < 100; ++i) {
      pool.Submit([&] {
        const std::lock_guard lock(mutex);
        ids.insert(std::this_thread::get_id());
      });
    }
  }
  EXPECT_LE(ids.size(), 2u);
  EXPECT_GE(ids.size(), 1u);
}

TEST(ThreadPool, DestructorFinishesWhatWasSubmitted) {
  std::atomic<int> done = 0;
  {
    ThreadPool pool(2);
    for (int i = 0; i < 50; ++i) pool.Submit([&] { ++done; });
  }
  EXPECT_EQ(done, 50);
}

TEST(ThreadPool, ZeroThreadsMeansOne) {
  ThreadPool pool(0);
  EXPECT_EQ(pool.size(), 1u);
  EXPECT_EQ(pool.Submit([] { return 5; }).get(), 5);
}

TEST(ThreadPool, DropsWhatAJobCapturedWhenItIsDone) {
  ThreadPool pool(1);
  auto held = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = held;
  pool.Submit([held = std::move(held)] {}).get();
  pool.Submit([] {}).get();  // the first job's object is gone by then
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace imgbuild
