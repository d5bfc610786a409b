// UTF-8 as Go decodes it: what is not valid is U+FFFD, one byte long.
#ifndef IMGBUILD_SRC_CONTEXT_UTF8_H_
#define IMGBUILD_SRC_CONTEXT_UTF8_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace imgbuild::context {

inline constexpr char32_t kRuneError = 0xFFFD;
inline constexpr char32_t kMaxRune = 0x10FFFF;

struct Rune {
  char32_t value = kRuneError;
  size_t size = 0;  // 0 only at the end of the text
};

// The first character of `text`.
Rune DecodeRune(std::string_view text);
// The last one.
Rune DecodeLastRune(std::string_view text);
void AppendRune(char32_t rune, std::string* text);

// strings.TrimSpace: Unicode's White_Space, not only ASCII's.
std::string_view TrimUnicodeSpace(std::string_view text);

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_UTF8_H_
