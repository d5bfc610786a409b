// Word expansion: $NAME, ${NAME} and all of ${NAME:-w} … ${NAME//p/r}, with
// quotes and escapes, exactly as BuildKit's shell lexer does it
// (dockerfile.md A.5). Pure.
#ifndef IMGBUILD_DOCKERFILE_EXPAND_H_
#define IMGBUILD_DOCKERFILE_EXPAND_H_

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

// The value of a variable, or nullopt when it is unset.
using Lookup = std::function<std::optional<std::string>(std::string_view name)>;

struct ExpandResult {
  std::string text;
  std::set<std::string> unmatched;  // names that were used and are unset
  std::set<std::string> matched;
};

// Quotes removed, escapes undone, variables replaced; blanks are kept. Throws
// Error(kDockerfile) at the word's range.
ExpandResult Expand(const Word& word, const Lookup& lookup, char escape);
// The same, then split at unquoted blanks (EXPOSE).
struct ExpandWordsResult {
  std::vector<std::string> words;
  std::set<std::string> unmatched;
};
ExpandWordsResult ExpandWords(const Word& word, const Lookup& lookup,
                              char escape);
// A heredoc body of COPY/ADD: quotes are ordinary characters, the escape is
// always '\'.
ExpandResult ExpandHeredoc(const Heredoc& heredoc, const Lookup& lookup);
// Whether the text has a variable reference (COPY --from=$x is an error).
bool HasVariable(std::string_view text, char escape);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_EXPAND_H_
