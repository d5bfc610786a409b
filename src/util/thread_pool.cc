#include "imgbuild/util/thread_pool.h"

#include <algorithm>
#include <system_error>

#include "imgbuild/util/error.h"

namespace imgbuild {

ThreadPool::ThreadPool(unsigned threads)
    : threads_wanted_(std::max(threads, 1u)) {}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Enqueue(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    // A thread counts as idle until it has taken a job, so waiting jobs are
    // counted against the idle ones.
    if (jobs_.size() > idle_ && threads_.size() < threads_wanted_) {
      try {
        threads_.emplace_back([this] { Work(); });
      } catch (const std::system_error& e) {
        // Fewer threads only make it slower; none at all would hang.
        if (threads_.empty()) {
          jobs_.pop_back();
          throw ErrnoError("start thread", "", e.code().value());
        }
      }
    }
  }
  wake_.notify_one();
}

void ThreadPool::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    std::function<void()> job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();          // a packaged_task: its exceptions go to the future
    job = nullptr;  // what it captured goes away before the next wait
    lock.lock();
  }
}

}  // namespace imgbuild
