// Which stages there are, which one is the target and which ones it reaches.
#ifndef IMGBUILD_PLAN_STAGES_H_
#define IMGBUILD_PLAN_STAGES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"

#include "plan/scope.h"

namespace imgbuild::plan {

// A stage with its FROM line evaluated.
struct StageInfo {
  const dockerfile::Stage* stage = nullptr;
  size_t index = 0;
  std::string name;          // "" when unnamed
  std::string display_name;  // "builder", "stage-1", "" in a one-stage file
  std::string base;          // the evaluated image word
  std::set<std::string> base_args;  // variables in it
  // Set when base is an earlier stage.
  std::optional<size_t> base_stage;
  std::optional<oci::Platform> platform;  // --platform
  // --build-context of the base's or of the stage's own name.
  std::optional<std::string> context;
  bool replaced = false;  // by a context: its instructions do not run
};

class StageTable {
 public:
  // Evaluates every FROM line. Throws for blank names, bad platforms, stages
  // that are based on themselves or on later ones.
  StageTable(const dockerfile::Dockerfile& file, const PlanOptions& options,
             const GlobalArgs& globals);

  size_t size() const { return stages_.size(); }
  const StageInfo& at(size_t index) const { return stages_[index]; }
  size_t target() const { return target_; }

  // The last stage before `before` that has this name (any case).
  std::optional<size_t> FindBefore(std::string_view name, size_t before) const;
  // What COPY --from (allow_index) or a mount's from means for the stage
  // `user`: a stage, or nothing (a named context or an image). Throws for an
  // index out of range, for the stage itself and for a later one.
  std::optional<size_t> FindSource(const dockerfile::Word& from, size_t user,
                                   bool allow_index) const;
  // The stages that instructions name directly, base included.
  std::vector<size_t> DirectDependencies(size_t index) const;
  // The target and everything below it, ascending.
  std::vector<size_t> Reached() const;
  std::vector<std::string> Names() const;

 private:
  void EvaluateFrom(const dockerfile::Dockerfile& file,
                    const PlanOptions& options, const GlobalArgs& globals,
                    size_t index);
  size_t FindTarget(const dockerfile::Dockerfile& file,
                    const std::string& target) const;

  std::vector<StageInfo> stages_;
  // Lower-cased name -> indexes, ascending.
  std::map<std::string, std::vector<size_t>, std::less<>> by_name_;
  size_t target_ = 0;
};

// The --build-context that stands for an image or stage name; a context called
// `alpine` stands for `alpine:latest` too, one called `alpine::linux/arm64` for
// that platform alone and before the others.
std::optional<std::string> FindNamedContext(const PlanOptions& options,
                                            const std::string& name,
                                            const oci::Platform& platform);

// The `from` option of a mount, if it has one.
std::optional<dockerfile::Word> MountFrom(const dockerfile::RawMount& mount);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_STAGES_H_
