// Results of jobs in the order in which they were pushed, computed on a pool
// ahead of the one thread that takes them.
#ifndef IMGBUILD_UTIL_AHEAD_H_
#define IMGBUILD_UTIL_AHEAD_H_

#include <atomic>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "imgbuild/util/thread_pool.h"

namespace imgbuild {

// The taking thread runs what no thread of the pool has begun, so it may itself
// be a job of that pool. What the jobs refer to must outlive this object: its
// destructor waits for those that have begun.
template <typename T>
class Ahead {
 public:
  explicit Ahead(ThreadPool& pool) : pool_(pool) {}
  Ahead(const Ahead&) = delete;
  Ahead& operator=(const Ahead&) = delete;
  ~Ahead() {
    // All that have not begun first: while this thread waits none may begin.
    std::erase_if(jobs_,
                  [](const auto& job) { return !job->claimed.exchange(true); });
    for (const auto& job : jobs_) job->Wait();
  }

  size_t waiting() const { return jobs_.size(); }

  void Push(std::function<T()> work) {
    auto job = std::make_shared<Job>(std::move(work));
    jobs_.push_back(job);
    pool_.Submit([job] { job->TryRun(); });
  }

  // REQUIRES: waiting() > 0. Rethrows what the job threw.
  T Pop() {
    const std::shared_ptr<Job> job = std::move(jobs_.front());
    jobs_.pop_front();
    if (!job->TryRun()) job->Wait();
    if (job->error) std::rethrow_exception(job->error);
    return std::move(*job->result);
  }

 private:
  struct Job {
    explicit Job(std::function<T()> function) : work(std::move(function)) {}
    bool TryRun() {
      if (claimed.exchange(true)) return false;
      try {
        result.emplace(work());
      } catch (...) {
        error = std::current_exception();
      }
      work = nullptr;
      done.store(true, std::memory_order_release);
      done.notify_one();
      return true;
    }
    void Wait() const { done.wait(false, std::memory_order_acquire); }

    std::function<T()> work;
    std::optional<T> result;
    std::exception_ptr error;
    std::atomic<bool> claimed{false};
    std::atomic<bool> done{false};
  };

  ThreadPool& pool_;
  std::deque<std::shared_ptr<Job>> jobs_;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_AHEAD_H_
