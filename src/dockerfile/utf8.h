// UTF-8, as far as Dockerfiles need it. Bytes that are no UTF-8 are characters
// of their own.
#ifndef IMGBUILD_DOCKERFILE_UTF8_H_
#define IMGBUILD_DOCKERFILE_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace imgbuild::dockerfile {

constexpr uint32_t kReplacement = 0xFFFD;

struct Rune {
  uint32_t code = 0;
  size_t size = 0;  // bytes; 0 at the end of the text
  bool valid = true;
};
// The character at `position`; an invalid byte is {U+FFFD, 1, false}.
Rune RuneAt(std::string_view text, size_t position);
void AppendRune(uint32_t code, std::string* out);
// Letters and digits as Unicode has them, nearly: blocks without letters
// (punctuation, symbols, private use, emoji) are out, single characters inside
// the others are not looked up.
bool IsLetterRune(uint32_t code);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_UTF8_H_
