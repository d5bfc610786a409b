// The values of `# syntax=` and `# check=`.
#ifndef IMGBUILD_DOCKERFILE_DIRECTIVES_H_
#define IMGBUILD_DOCKERFILE_DIRECTIVES_H_

#include <string>
#include <vector>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

// skip=A,B;error=true;experimental=C
struct CheckOptions {
  std::vector<std::string> skip;  // rule names as written
  bool skip_all = false;
  bool error = false;
  std::vector<std::string> experimental;
  bool experimental_all = false;
};

// Of a directive, of the build argument BUILDKIT_DOCKERFILE_CHECK (without a
// range), or of a `check=…` comment above an instruction. Throws
// Error(kDockerfile) at the part that is wrong.
CheckOptions ParseCheckOptions(const Word& value);

// A directive's value alone: "skip=all" of `# check=skip=all`.
Word DirectiveValue(const Directive& directive);

// Throws Error(kDockerfile) when the value makes no sense: a frontend other
// than docker/dockerfile (no frontend is ever fetched; this is a superset of
// its every version), bad check options. Parse() calls it for every directive.
void CheckDirective(const Directive& directive);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_DIRECTIVES_H_
