#include "context/utf8.h"

#include <algorithm>

namespace imgbuild::context {
namespace {

bool IsSpace(char32_t c) {
  if (c <= 0xFF) {
    return (c >= '\t' && c <= '\r') || c == ' ' || c == 0x85 || c == 0xA0;
  }
  return c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace

Rune DecodeRune(std::string_view text) {
  if (text.empty()) return {};
  const auto byte = [&](size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  size_t size = 0;
  char32_t value = 0;
  char32_t least = 0;
  if (lead >= 0xC2 && lead <= 0xDF) {
    size = 2, value = lead & 0x1Fu, least = 0x80;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    size = 3, value = lead & 0x0Fu, least = 0x800;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    size = 4, value = lead & 0x07u, least = 0x10000;
  } else {
    return {kRuneError, 1};
  }
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return {kRuneError, 1};
    value = (value << 6) | (byte(i) & 0x3Fu);
  }
  const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
  if (value < least || value > kMaxRune || surrogate) return {kRuneError, 1};
  return {value, size};
}

Rune DecodeLastRune(std::string_view text) {
  for (size_t size = std::min<size_t>(4, text.size()); size > 1; --size) {
    const Rune rune = DecodeRune(text.substr(text.size() - size));
    if (rune.size == size) return rune;
  }
  return DecodeRune(
      text.substr(text.size() - std::min<size_t>(1, text.size())));
}

void AppendRune(char32_t rune, std::string* text) {
  const auto put = [text](char32_t byte) {
    text->push_back(static_cast<char>(byte));
  };
  if (rune < 0x80) {
    put(rune);
  } else if (rune < 0x800) {
    put(0xC0 | (rune >> 6));
    put(0x80 | (rune & 0x3F));
  } else if (rune < 0x10000) {
    put(0xE0 | (rune >> 12));
    put(0x80 | ((rune >> 6) & 0x3F));
    put(0x80 | (rune & 0x3F));
  } else {
    put(0xF0 | (rune >> 18));
    put(0x80 | ((rune >> 12) & 0x3F));
    put(0x80 | ((rune >> 6) & 0x3F));
    put(0x80 | (rune & 0x3F));
  }
}

std::string_view TrimUnicodeSpace(std::string_view text) {
  for (Rune r = DecodeRune(text); r.size != 0 && IsSpace(r.value);
       r = DecodeRune(text)) {
    text.remove_prefix(r.size);
  }
  for (Rune r = DecodeLastRune(text); r.size != 0 && IsSpace(r.value);
       r = DecodeLastRune(text)) {
    text.remove_suffix(r.size);
  }
  return text;
}

}  // namespace imgbuild::context
