// The syntax tree between GoRegexp's parser and its program.
#ifndef IMGBUILD_SRC_CONTEXT_GO_REGEXP_PARSE_H_
#define IMGBUILD_SRC_CONTEXT_GO_REGEXP_PARSE_H_

#include <string_view>
#include <vector>

#include "context/go_regexp.h"

namespace imgbuild::context {

struct RegexpNode {
  enum class Kind { kRune, kSet, kAssert, kConcat, kAlternate, kRepeat };
  Kind kind = Kind::kConcat;
  char32_t rune = 0;
  RuneSet set;
  GoRegexp::Assertion assertion = GoRegexp::Assertion::kBegin;
  int min = 0;
  int max = -1;  // of kRepeat; -1: no end
  std::vector<RegexpNode> children;
};

// Throws Error(kDockerfile).
RegexpNode ParseGoRegexp(std::string_view expression);

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_GO_REGEXP_PARSE_H_
