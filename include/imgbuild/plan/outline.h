// `build --call=outline` and `--call=targets`: what a Dockerfile can be given
// and what it can make, as BuildKit tells it.
#ifndef IMGBUILD_PLAN_OUTLINE_H_
#define IMGBUILD_PLAN_OUTLINE_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/plan/planner.h"

namespace imgbuild::plan {

// What the target takes, each list in the order of the file.
struct Outline {
  std::string target;       // stage name, "" for an unnamed one
  std::string description;  // of its comment
  struct Arg {
    std::string name;
    std::optional<std::string> value;
    std::string description;
    SourceRange range;  // the ARG instruction
  };
  std::vector<Arg> args;
  // A secret or an agent, by the first RUN that mounts it.
  struct Need {
    std::string id;
    bool required = false;
    SourceRange range;
  };
  std::vector<Need> secrets;
  std::vector<Need> ssh;
};

// Evaluates the target and what it stands on. Throws as Plan() does, but asks
// for no trust: nothing will be run.
Outline MakeOutline(const dockerfile::Dockerfile& file,
                    const PlanOptions& options, ImageResolver& resolver);

struct TargetInfo {
  std::string name;  // "" for an unnamed stage
  std::string description;
  std::string base;      // as written
  std::string platform;  // as written
  bool is_default = false;
  SourceRange range;  // the FROM line
};
// Every stage.
std::vector<TargetInfo> ListTargets(const dockerfile::Dockerfile& file);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_OUTLINE_H_
