// Here-document words: `<<NAME`, `3<<-"NAME"`.
#ifndef IMGBUILD_DOCKERFILE_HEREDOC_H_
#define IMGBUILD_DOCKERFILE_HEREDOC_H_

#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

// The word that the grammar took for a here-document, without its body; nullopt
// when its delimiter is empty, which makes it an ordinary word.
std::optional<Heredoc> ParseHeredocWord(std::string_view word);

// The body of <<- with the tabs at the start of every line removed.
std::string StripTabs(std::string_view body);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_HEREDOC_H_
