// The part of Go's regexp language that file patterns can reach. The reference
// matcher turns a pattern into a regular expression and passes more through
// than it means to ('|', '{2}', '\d', '^' work), so deciding as it does takes
// its regular expressions.
#ifndef IMGBUILD_SRC_CONTEXT_GO_REGEXP_H_
#define IMGBUILD_SRC_CONTEXT_GO_REGEXP_H_

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::context {

// A set of characters.
class RuneSet {
 public:
  void Add(char32_t low, char32_t high);
  void AddAll(const RuneSet& other);
  void Negate();
  // Sorts the ranges; before the first Has().
  void Finish();
  bool Has(char32_t rune) const;

 private:
  std::vector<std::pair<char32_t, char32_t>> ranges_;
  uint64_t ascii_[2] = {0, 0};
};

// Immutable, thread-safe; time is linear in the text, whatever the expression.
class GoRegexp {
 public:
  // Throws Error(kDockerfile) with Go's reason. Unicode classes (\p{Greek})
  // are refused: they would need Unicode's tables.
  explicit GoRegexp(std::string_view expression);
  // Whether a match begins anywhere in `text`.
  bool Match(std::string_view text) const;

  enum class Op : uint8_t {
    kRune,    // one character equal to `arg`
    kSet,     // one character of sets_[arg]
    kSplit,   // goes on at both `next` and `arg`
    kAssert,  // Assertion(arg) holds here
    kJump,
    kMatch,
  };
  enum class Assertion : uint8_t { kBegin, kEnd, kWord, kNotWord };
  struct Instruction {
    Op op = Op::kMatch;
    uint32_t next = 0;
    uint32_t arg = 0;
  };

 private:
  class Compiler;
  class Run;
  std::vector<Instruction> program_;
  std::vector<RuneSet> sets_;
  // Every way to match begins with '^'.
  bool anchored_ = false;
};

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_GO_REGEXP_H_
