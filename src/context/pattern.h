// One pattern of moby/patternmatcher.
#ifndef IMGBUILD_SRC_CONTEXT_PATTERN_H_
#define IMGBUILD_SRC_CONTEXT_PATTERN_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "context/go_regexp.h"

namespace imgbuild::context {

// How the reference matcher decides, with its oddities: see README.md.
// Immutable, thread-safe.
class Pattern {
 public:
  // `line` as it comes out of an ignore file's line. Throws
  // Error(kDockerfile); nullopt for blanks.
  static std::optional<Pattern> Parse(std::string_view line);

  // The path itself, parents not considered.
  bool MatchesExactly(std::string_view path) const;
  // Whether something below the directory could match, though the directory
  // and its parents do not. May say yes in vain.
  bool CouldMatchBelow(std::string_view directory) const;
  bool exception() const { return exception_; }
  // The regular expression, for tests; empty for the other kinds.
  const std::string& expression() const { return expression_; }

 private:
  enum class Kind { kExact, kPrefix, kSuffix, kRegexp };

  Pattern() = default;
  void Compile();

  bool exception_ = false;
  std::string text_;  // cleaned, without '!'
  Kind kind_ = Kind::kExact;
  std::string expression_;
  std::shared_ptr<const GoRegexp> regexp_;
  // What every match begins and ends with: most paths need not see regexp_.
  std::string literal_prefix_;
  std::string literal_suffix_;
  // Matching paths have exactly so many components; 0: any number.
  size_t components_ = 0;
};

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_PATTERN_H_
