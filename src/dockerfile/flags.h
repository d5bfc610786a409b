// `--name=value` words of one instruction, checked against the names that the
// instruction knows.
#ifndef IMGBUILD_DOCKERFILE_FLAGS_H_
#define IMGBUILD_DOCKERFILE_FLAGS_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"

#include "dockerfile/flag_table.h"
#include "dockerfile/line_reader.h"
#include "dockerfile/syntax.h"

namespace imgbuild::dockerfile {

// Text with quotes removed and escapes undone, and where each byte of it comes
// from in the logical line.
struct Unquoted {
  std::string text;
  std::vector<size_t> offsets;
};
Unquoted UnquoteFlag(const LogicalLine& line, Span span, char escape);

class FlagSet {
 public:
  // Throws Error(kDockerfile) for an unknown flag, one given twice, one
  // without its value and a boolean that is none. `instruction` is for the
  // messages.
  FlagSet(const LogicalLine& line, const std::vector<FlagSyntax>& flags,
          char escape, std::string_view instruction,
          std::span<const FlagSpec> specs);

  // nullopt when it is absent or empty: `--from=` is no flag at all for the
  // reference implementation either.
  std::optional<Word> Text(std::string_view name) const;
  // The same, but an empty value counts.
  std::optional<Word> TextOrEmpty(std::string_view name) const;
  std::optional<bool> Bool(std::string_view name) const;
  std::vector<Word> Multi(std::string_view name) const;
  // The spans of the values of `name`.
  std::vector<Span> Spans(std::string_view name) const;

 private:
  struct Given {
    std::string name;
    Word value;
    Span span;
    bool flag = false;  // a boolean's value
  };
  const Given* Find(std::string_view name) const;
  std::vector<Given> given_;
};

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_FLAGS_H_
