// Text -> AST. The generated ANTLR code stays behind this header. Pure and
// thread-safe: no I/O, no global state that changes.
#ifndef IMGBUILD_DOCKERFILE_PARSER_H_
#define IMGBUILD_DOCKERFILE_PARSER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

struct ParseOptions {
  // Longest logical line, heredoc bodies included; above it is a located error.
  size_t max_line_bytes = 64u << 20;
  size_t max_file_bytes = 256u << 20;
  // The file that INCLUDE `name` means in `from`; throws Error without a place.
  // Unset: INCLUDE is refused.
  std::function<std::shared_ptr<const SourceFile>(const SourceFile& from,
                                                  const std::string& name)>
      include;
};

// How deep INCLUDEs may nest, and how many there may be in all.
inline constexpr size_t kMaxIncludeDepth = 16;
inline constexpr size_t kMaxIncludes = 1000;

// Throws Error(kDockerfile) with a range at the first mistake: what is wrong,
// where, and the nearest known name for a misspelt instruction or flag.
Dockerfile Parse(std::shared_ptr<const SourceFile> source,
                 const ParseOptions& options = {});

// One instruction without FROM or ONBUILD around it: an ONBUILD trigger taken
// from an image config, or a `--change` option. Ranges point into `trigger`.
Instruction ParseTrigger(std::shared_ptr<const SourceFile> trigger,
                         char escape = '\\');

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_PARSER_H_
