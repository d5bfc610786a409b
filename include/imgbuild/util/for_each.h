// A job for each of several items, a few at a time.
#ifndef IMGBUILD_UTIL_FOR_EACH_H_
#define IMGBUILD_UTIL_FOR_EACH_H_

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace imgbuild {

// Runs `job` over `items` on up to `parallel` threads; the first error stops
// the rest from starting and is thrown.
template <typename Item, typename Job>
void ForEach(const std::vector<Item>& items, unsigned parallel, Job job) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;
  const auto work = [&] {
    for (size_t i = next++; i < items.size(); i = next++) {
      try {
        job(items[i]);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!error) error = std::current_exception();
        next = items.size();
      }
    }
  };
  const size_t threads = std::min<size_t>(parallel, items.size());
  std::vector<std::thread> pool;
  for (size_t i = 1; i < threads; ++i) pool.emplace_back(work);
  work();
  for (std::thread& thread : pool) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_FOR_EACH_H_
