// .dockerignore: patterns exactly as moby/patternmatcher decides them
// (dockerfile.md A.11).
#ifndef IMGBUILD_CONTEXT_IGNORE_H_
#define IMGBUILD_CONTEXT_IGNORE_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/source.h"

namespace imgbuild::context {

// A parsed list of patterns. Immutable, thread-safe.
class PatternList {
 public:
  // Of an ignore file. Throws Error(kDockerfile) with the pattern's range.
  static PatternList ParseIgnoreFile(std::shared_ptr<const SourceFile> file);
  // Of single patterns (COPY --exclude).
  static PatternList FromPatterns(const std::vector<std::string>& patterns);
  PatternList();
  PatternList(PatternList&&) noexcept;
  PatternList& operator=(PatternList&&) noexcept;
  ~PatternList();

  bool empty() const;
  bool has_exceptions() const;

  struct Decision {
    bool excluded = false;
    // The pattern that decided; empty range when none matched.
    SourceRange rule;
    std::string pattern;
  };
  // The whole answer for one path (parents are looked at too).
  Decision Match(std::string_view path) const;

  // State of a directory during a walk from the root: what matched so far, so
  // that each step costs only its own component's match.
  class DirState;
  std::shared_ptr<const DirState> Root() const;
  struct WalkDecision {
    bool excluded = false;
    // For a directory: whether to walk into it although it is excluded,
    // because an exception could match below.
    bool descend = false;
    std::shared_ptr<const DirState> state;  // of this path, for its children
    int rule = -1;                          // index of the deciding pattern
  };
  WalkDecision Step(const DirState& parent, std::string_view path,
                    bool is_directory) const;
  SourceRange RuleRange(int rule) const;
  std::string RuleText(int rule) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One glob of Go's filepath.Match against one path component or a whole path
// ('*' and '?' never match '/'). Throws Error(kDockerfile) on a malformed
// pattern, unless the name failed to match in front of the mistake.
bool GlobMatch(std::string_view pattern, std::string_view name);
// Whether there is a '*', '?' or '[' that is not escaped.
bool HasGlob(std::string_view pattern);

}  // namespace imgbuild::context

#endif  // IMGBUILD_CONTEXT_IGNORE_H_
