// A fixed set of threads that run submitted functions.
#ifndef IMGBUILD_UTIL_THREAD_POOL_H_
#define IMGBUILD_UTIL_THREAD_POOL_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace imgbuild {

// Jobs must not block on other jobs of the same pool. The destructor finishes
// what was submitted. Exceptions travel through the future.
class ThreadPool {
 public:
  // Threads start with the first job, so an unused pool costs nothing.
  explicit ThreadPool(unsigned threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  template <typename F>
  std::future<std::invoke_result_t<F>> Submit(F function) {
    using R = std::invoke_result_t<F>;
    auto task = std::make_shared<std::packaged_task<R()>>(std::move(function));
    std::future<R> result = task->get_future();
    Enqueue([task] { (*task)(); });
    return result;
  }
  unsigned size() const { return threads_wanted_; }

 private:
  void Enqueue(std::function<void()> job);
  void Work();

  const unsigned threads_wanted_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_THREAD_POOL_H_
