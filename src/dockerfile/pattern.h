// The patterns of ${v#p}, ${v%p} and ${v/p/r}: '*' and '?' and literal
// characters, no brackets. A '*' does not cross a line end, nor does '?' match
// one, as in the reference implementation.
#ifndef IMGBUILD_DOCKERFILE_PATTERN_H_
#define IMGBUILD_DOCKERFILE_PATTERN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::dockerfile {

class Pattern {
 public:
  // A backslash escapes '*', '?', itself, '}' and '/'. Throws
  // Error(kDockerfile), without a range, for any other pair.
  explicit Pattern(std::string_view text);

  // `value` without the shortest or longest matching start or end; unchanged
  // when there is none.
  std::string_view CutPrefix(std::string_view value, bool longest) const;
  std::string_view CutSuffix(std::string_view value, bool longest) const;
  // The first match, or every one, replaced by `text` as it stands. Throws
  // Error(kDockerfile) when value and pattern are too big to be tried.
  std::string Replace(std::string_view value, std::string_view text,
                      bool all) const;

 private:
  struct Item {
    enum class Kind { kText, kAny, kStar } kind;
    std::string text;  // of kText: one character
  };
  // The end of the longest or shortest match that begins at `begin`. Adds its
  // work to *steps and throws when that is too much.
  std::optional<size_t> MatchEnd(std::string_view value, size_t begin,
                                 bool longest, uint64_t* steps) const;
  std::vector<Item> items_;
};

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_PATTERN_H_
