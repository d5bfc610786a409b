// A cache key is a recipe: tagged, length-delimited fields fed to one hash,
// which can also print themselves, so that a miss names the field that
// changed.
#ifndef IMGBUILD_PLAN_CACHE_KEY_H_
#define IMGBUILD_PLAN_CACHE_KEY_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/plan/build_graph.h"

namespace imgbuild::plan {

// Bumped when the meaning of a field changes: old records then never match.
inline constexpr int kRecipeVersion = 1;

class Recipe {
 public:
  void Add(std::string_view tag, std::string_view value);
  // sha256 over (length, tag, length, value)…
  oci::Digest Digest() const;
  // One `tag value` a line; control characters escaped, so that Parse(Text())
  // is the same recipe.
  std::string Text() const;
  static Recipe Parse(std::string_view text);
  const std::vector<std::pair<std::string, std::string>>& fields() const {
    return fields_;
  }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// What the build knows when a vertex is about to run.
struct KeyInputs {
  // Chain of the parent's result ("" for no layers), or a symbol in a plan.
  std::string parent;
  // Per FileSource that the op reads, in order of use: the digest of the
  // selected contents, or a symbol.
  std::vector<std::string> contents;
};

// The recipe of a vertex that makes a layer (RunOp, CopyOp, WorkdirOp).
Recipe MakeRecipe(const Vertex& vertex, const KeyInputs& inputs);

// The first difference, for people: `env FOO: "1" -> "2"`, `contents of src
// changed`; nullopt when equal.
std::optional<std::string> ExplainDifference(const Recipe& before,
                                             const Recipe& after);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_CACHE_KEY_H_
