#include "context/crew.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

#include "imgbuild/util/error.h"

namespace imgbuild::context {
namespace {

// Outlives the call: a helper that starts late finds it closed.
class Crew {
 public:
  explicit Crew(const std::function<void()>& work) : work_(&work) {}

  void Help() {
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      ++running_;
    }
    Work();
    const std::lock_guard lock(mutex_);
    --running_;
    left_.notify_all();
  }

  void Lead() {
    Work();
    std::unique_lock lock(mutex_);
    closed_ = true;
    left_.wait(lock, [this] { return running_ == 0; });
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void Work() {
    try {
      (*work_)();
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
    }
  }

  const std::function<void()>* const work_;
  std::mutex mutex_;
  std::condition_variable left_;
  unsigned running_ = 0;
  bool closed_ = false;
  std::exception_ptr error_;
};

}  // namespace

void RunTogether(ThreadPool& pool, const std::function<void()>& work) {
  const auto crew = std::make_shared<Crew>(work);
  try {
    for (unsigned i = 1; i < pool.size(); ++i) {
      pool.Submit([crew] { crew->Help(); });
    }
  } catch (const Error&) {
    // No thread to be had: this one does it alone.
  }
  crew->Lead();
}

void ParallelFor(ThreadPool& pool, size_t count, size_t grain,
                 const std::function<RangeBody()>& make_body) {
  if (count == 0) return;
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    const RangeBody body = make_body();
    for (size_t begin = next.fetch_add(grain); begin < count;
         begin = next.fetch_add(grain)) {
      try {
        body(begin, std::min(begin + grain, count));
      } catch (...) {
        next = count;  // the others stop too
        throw;
      }
    }
  };
  if (count <= grain) {
    work();
  } else {
    RunTogether(pool, work);
  }
}

}  // namespace imgbuild::context
