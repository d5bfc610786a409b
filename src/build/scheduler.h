// Which vertex runs when: every vertex starts as soon as all it reads is done,
// on at most `jobs` threads; the first error cancels the rest.
#ifndef IMGBUILD_BUILD_SCHEDULER_H_
#define IMGBUILD_BUILD_SCHEDULER_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "imgbuild/util/cancel.h"

namespace imgbuild::build {

// edges[i] are the indexes (all below i) that i needs. `work` is called once
// for each index, from different threads. Throws the first error that is not
// a cancellation, after everything has stopped.
void RunGraph(const std::vector<std::vector<uint32_t>>& edges, unsigned jobs,
              CancelToken& cancel,
              const std::function<void(uint32_t index)>& work);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_SCHEDULER_H_
