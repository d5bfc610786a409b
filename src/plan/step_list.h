// The steps of a stage so far. Stages that begin with another one share its
// steps: ten thousand in a row take the room of ten thousand steps.
#ifndef IMGBUILD_SRC_PLAN_STEP_LIST_H_
#define IMGBUILD_SRC_PLAN_STEP_LIST_H_

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "imgbuild/plan/build_graph.h"

namespace imgbuild::plan {

// A copy costs nothing and later changes of one do not show in the other.
class StepList {
 public:
  StepList() = default;
  StepList(const StepList&) = default;
  StepList& operator=(const StepList&) = default;
  // Not by recursion: a list may be longer than the stack is deep.
  ~StepList() {
    while (last_ && last_.use_count() == 1) {
      last_ = std::exchange(last_->before, nullptr);
    }
  }

  void push_back(ImageTemplate::Step step) {
    last_ = std::make_shared<Node>(Node{std::move(step), std::move(last_)});
  }
  std::vector<ImageTemplate::Step> ToVector() const {
    std::vector<ImageTemplate::Step> steps;
    for (const Node* node = last_.get(); node != nullptr;
         node = node->before.get()) {
      steps.push_back(node->step);
    }
    std::ranges::reverse(steps);
    return steps;
  }

 private:
  struct Node {
    ImageTemplate::Step step;
    std::shared_ptr<Node> before;
  };
  std::shared_ptr<Node> last_;
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_SRC_PLAN_STEP_LIST_H_
