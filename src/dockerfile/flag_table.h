// The flags of every instruction in one place: the parser takes no others, and
// a test walks them to see that each one does something.
#ifndef IMGBUILD_DOCKERFILE_FLAG_TABLE_H_
#define IMGBUILD_DOCKERFILE_FLAG_TABLE_H_

#include <span>
#include <string_view>

#include "dockerfile/syntax.h"

namespace imgbuild::dockerfile {

enum class FlagKind {
  kText,   // --name=value
  kBool,   // --name, --name=true, --name=false
  kMulti,  // --name=value, any number of times
};

struct FlagSpec {
  std::string_view name;
  FlagKind kind;
};

// In the order in which messages list them. HEALTHCHECK NONE takes none of
// HEALTHCHECK's.
std::span<const FlagSpec> FlagsOf(Keyword keyword);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_FLAG_TABLE_H_
