#include "build/scheduler.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "imgbuild/util/error.h"

namespace imgbuild::build {
namespace {

class Scheduler {
 public:
  Scheduler(const std::vector<std::vector<uint32_t>>& edges,
            CancelToken& cancel, const std::function<void(uint32_t)>& work)
      : cancel_(cancel),
        work_(work),
        waiting_(edges.size()),
        users_(edges.size()),
        left_(edges.size()) {
    for (uint32_t i = 0; i < edges.size(); ++i) {
      const std::set<uint32_t> needed(edges[i].begin(), edges[i].end());
      waiting_[i] = needed.size();
      for (const uint32_t need : needed) users_[need].push_back(i);
      if (needed.empty()) ready_.insert(i);
    }
  }

  void Run(unsigned jobs) {
    std::vector<std::thread> threads;
    const size_t count =
        std::min<size_t>(std::max(jobs, 1u), std::max<size_t>(left_, 1));
    for (size_t i = 1; i < count; ++i) {
      threads.emplace_back([this] { Work(); });
    }
    Work();
    for (std::thread& thread : threads) thread.join();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void Work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock,
                 [this] { return !ready_.empty() || left_ == 0 || stopped_; });
      if (left_ == 0 || stopped_) return;
      // The lowest first: the order of the Dockerfile.
      const uint32_t index = *ready_.begin();
      ready_.erase(ready_.begin());
      lock.unlock();
      std::exception_ptr error;
      bool interrupted = false;
      try {
        cancel_.Check();
        work_(index);
      } catch (const Error& e) {
        error = std::current_exception();
        interrupted = e.code() == ErrorCode::kInterrupted;
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error) {
        Fail(error, interrupted);
        return;
      }
      Finish(index);
    }
  }

  void Finish(uint32_t index) {
    --left_;
    for (const uint32_t user : users_[index]) {
      if (--waiting_[user] == 0) ready_.insert(user);
    }
    wake_.notify_all();
  }

  // The error that came first wins, but a cancellation that it caused in
  // other steps never hides it.
  void Fail(const std::exception_ptr& error, bool interrupted) {
    if (!error_ || (error_is_interruption_ && !interrupted)) {
      error_ = error;
      error_is_interruption_ = interrupted;
    }
    stopped_ = true;
    cancel_.Cancel();
    wake_.notify_all();
  }

  CancelToken& cancel_;
  const std::function<void(uint32_t)>& work_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::set<uint32_t> ready_;
  std::vector<size_t> waiting_;
  std::vector<std::vector<uint32_t>> users_;
  size_t left_;
  bool stopped_ = false;
  bool error_is_interruption_ = false;
  std::exception_ptr error_;
};

}  // namespace

void RunGraph(const std::vector<std::vector<uint32_t>>& edges, unsigned jobs,
              CancelToken& cancel,
              const std::function<void(uint32_t index)>& work) {
  Scheduler(edges, cancel, work).Run(jobs);
}

}  // namespace imgbuild::build
