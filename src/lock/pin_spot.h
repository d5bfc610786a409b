// Where in the text the digest of a name stands or belongs.
#ifndef IMGBUILD_SRC_LOCK_PIN_SPOT_H_
#define IMGBUILD_SRC_LOCK_PIN_SPOT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/compare.h"
#include "imgbuild/util/source.h"

namespace imgbuild::lock {

// The byte of a place, and the bytes of a range as they stand in the file.
size_t OffsetOf(const SourceFile& file, const SourcePos& pos);
std::string_view TextAt(const SourceRange& range);

struct PinSpot {
  // Bytes of at.file(): `@sha256:…`, or nothing where it is to be put.
  size_t begin = 0;
  size_t end = 0;
  SourceRange at;   // the word or default that holds it
  std::string arg;  // whose default that is
};

// The rules of pin.h. `exact`: a default that others read too is refused (a
// digest may be taken away from it all the same). Throws Error(kPolicy).
PinSpot FindPinSpot(const dockerfile::Dockerfile& file,
                    const dockerfile::Word& word, const UsedName& used,
                    bool exact);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_SRC_LOCK_PIN_SPOT_H_
