// Quoted text for messages, cut when it is long.
#ifndef IMGBUILD_DOCKERFILE_QUOTE_H_
#define IMGBUILD_DOCKERFILE_QUOTE_H_

#include <string>
#include <string_view>

#include "imgbuild/util/strings.h"

namespace imgbuild::dockerfile {

// A word can be megabytes long; a message should not be.
inline std::string Shown(std::string_view text) {
  constexpr size_t kLongest = 100;
  if (text.size() <= kLongest) return Quoted(text);
  size_t size = kLongest;
  // Not inside a character of UTF-8.
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80)
    --size;
  return Quoted(std::string(text.substr(0, size)) + "…");
}

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_QUOTE_H_
