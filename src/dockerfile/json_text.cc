#include "dockerfile/json_text.h"

#include <cstdint>

#include "dockerfile/utf8.h"

namespace imgbuild::dockerfile {
namespace {

uint32_t Hex4(std::string_view digits) {
  uint32_t value = 0;
  for (char c : digits) {
    const uint32_t digit =
        static_cast<uint32_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    value = value * 16 + digit;
  }
  return value;
}

char SimpleEscape(char c) {
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    default:
      return c;
  }
}

// `\uXXXX` at `i` (of the 'u'), with the second half of a surrogate pair if it
// follows. Leaves *i on the last digit.
uint32_t UnicodeEscape(std::string_view text, size_t* i) {
  const uint32_t code = Hex4(text.substr(*i + 1, 4));
  *i += 4;
  if (code < 0xD800 || code > 0xDFFF) return code;
  const std::string_view next = text.substr(*i + 1);
  if (code < 0xDC00 && next.starts_with("\\u") && next.size() >= 6) {
    const uint32_t low = Hex4(next.substr(2, 4));
    if (low >= 0xDC00 && low <= 0xDFFF) {
      *i += 6;
      return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
  }
  return kReplacement;
}

}  // namespace

std::string DecodeJsonString(std::string_view literal) {
  const std::string_view text = literal.substr(1, literal.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
      if (text[i] == 'u') {
        AppendRune(UnicodeEscape(text, &i), &out);
      } else {
        out += SimpleEscape(text[i]);
      }
      continue;
    }
    const Rune rune = RuneAt(text, i);
    AppendRune(rune.code, &out);
    i += rune.size - 1;
  }
  return out;
}

}  // namespace imgbuild::dockerfile
