// A part of a word, for an error that knows exactly what is wrong.
#ifndef IMGBUILD_DOCKERFILE_SUB_RANGE_H_
#define IMGBUILD_DOCKERFILE_SUB_RANGE_H_

#include <cstddef>
#include <cstdint>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

// Where the bytes [begin, begin + size) of `word` stand. The whole word's range
// when its text is not what stands there (continued lines, removed quotes).
inline SourceRange SubRange(const Word& word, size_t begin, size_t size) {
  const SourcePos first = word.range.begin();
  const SourcePos last = word.range.end();
  if (!word.range || first.line != last.line ||
      last.column - first.column != word.text.size())
    return word.range;
  const uint32_t column = first.column + static_cast<uint32_t>(begin);
  return SourceRange(
      word.range.file(), {first.line, column},
      {first.line, column + static_cast<uint32_t>(size == 0 ? 1 : size)});
}

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_SUB_RANGE_H_
