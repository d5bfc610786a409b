#include "dockerfile/utf8.h"

namespace imgbuild::dockerfile {

Rune RuneAt(std::string_view text, size_t position) {
  if (position >= text.size()) return {};
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[position + i]);
  };
  const uint32_t first = byte(0);
  if (first < 0x80) return {first, 1, true};
  const Rune invalid{kReplacement, 1, false};
  const size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() - position < size)
    return invalid;
  uint32_t code = first & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return invalid;
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  const bool too_long = (size == 3 && code < 0x800) ||
                        (size == 4 && (code < 0x10000 || code > 0x10FFFF));
  if (too_long || (code >= 0xD800 && code <= 0xDFFF)) return invalid;
  return {code, size, true};
}

void AppendRune(uint32_t code, std::string* out) {
  const auto put = [&](uint32_t byte) { *out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

bool IsLetterRune(uint32_t code) {
  if (code < 0x80) {
    return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
  }
  if (code < 0x100) {
    return code == 0xAA || code == 0xB5 || code == 0xBA ||
           (code >= 0xC0 && code != 0xD7 && code != 0xF7);
  }
  struct Block {
    uint32_t first, last;
  };
  static constexpr Block kWithoutLetters[] = {
      {0x2000, 0x206F}, {0x20A0, 0x20FF},   {0x2190, 0x2BFF},
      {0x2E00, 0x2FFF}, {0x3000, 0x3004},   {0x3007, 0x3030},
      {0xD800, 0xF8FF}, {0xFE00, 0xFE6F},   {0xFF00, 0xFF20},
      {0xFFF0, 0xFFFF}, {0x1F000, 0x1FAFF}, {0xE0000, 0x10FFFF},
  };
  for (const Block& block : kWithoutLetters) {
    if (code >= block.first && code <= block.last) return false;
  }
  return true;
}

}  // namespace imgbuild::dockerfile
