// What the evaluation of stages notes down for an outline.
#ifndef IMGBUILD_SRC_PLAN_OUTLINE_CAPTURE_H_
#define IMGBUILD_SRC_PLAN_OUTLINE_CAPTURE_H_

#include <map>
#include <string>
#include <vector>

#include "imgbuild/plan/outline.h"

namespace imgbuild::plan {

struct OutlineCapture {
  struct OfStage {
    std::vector<Outline::Arg> args;      // declared with a value of their own
    std::vector<std::string> inherited;  // declared and taken from the globals
    std::vector<Outline::Need> secrets;
    std::vector<Outline::Need> ssh;
  };
  std::map<size_t, OfStage> stages;  // by index
};

// The rest of the first of these comment lines that begins with `name` and a
// blank.
std::string DescriptionOf(const std::vector<std::string>& comments,
                          const std::string& name);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_SRC_PLAN_OUTLINE_CAPTURE_H_
