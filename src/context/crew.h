// Work shared between the calling thread and whatever threads of a pool are
// free. The caller always takes part, so it never waits for a job that has not
// begun: safe to use from inside a job of the same pool.
#ifndef IMGBUILD_SRC_CONTEXT_CREW_H_
#define IMGBUILD_SRC_CONTEXT_CREW_H_

#include <cstddef>
#include <functional>

#include "imgbuild/util/thread_pool.h"

namespace imgbuild::context {

// Calls `work` on this thread and on as many of the pool's as begin before it
// is done here. Returns when all calls have returned, and rethrows the first
// exception.
void RunTogether(ThreadPool& pool, const std::function<void()>& work);

// Calls body(begin, end) for pieces of [0, count), `grain` each. Every thread
// that takes part makes a body of its own, with whatever it keeps between the
// pieces.
using RangeBody = std::function<void(size_t begin, size_t end)>;
void ParallelFor(ThreadPool& pool, size_t count, size_t grain,
                 const std::function<RangeBody()>& make_body);

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_CREW_H_
