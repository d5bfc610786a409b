// The words of a template: text outside of {{ }}, tokens inside. Private to
// go_template.
#ifndef IMGBUILD_CLI_GO_TEMPLATE_LEXER_H_
#define IMGBUILD_CLI_GO_TEMPLATE_LEXER_H_

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/source.h"

namespace imgbuild::cli::go_template {

struct Token {
  enum class Kind {
    kText,     // text: trimmed
    kLeft,     // {{
    kRight,    // }}
    kWord,     // if, printf
    kField,    // .Name (text: Name)
    kVar,      // $x, or $ alone
    kDot,      // .
    kNumber,   // as written
    kString,   // unquoted
    kChar,     // text: the code point in decimal
    kPipe,     // |
    kOpen,     // (
    kClose,    // )
    kDeclare,  // :=
    kAssign,   // =
    kComma,    // ,
    kEnd,      // of the template
  };
  Kind kind = Kind::kEnd;
  std::string text;
  size_t begin = 0;  // byte offsets in the template
  size_t end = 0;
  bool blank_before = false;
};

using Source = std::shared_ptr<const SourceFile>;

// `template: REASON`, at [begin, end).
Error TemplateError(ErrorCode code, const std::string& reason,
                    const Source& source, size_t begin, size_t end);

// Ends with kEnd. Comments are gone, trim markers are applied. Throws
// Error(kFailed).
std::vector<Token> Tokens(const Source& source);

}  // namespace imgbuild::cli::go_template

#endif  // IMGBUILD_CLI_GO_TEMPLATE_LEXER_H_
