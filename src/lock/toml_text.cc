#include "lock/toml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

namespace imgbuild::lock {
namespace {

// Bytes of the UTF-8 sequence at the start of `text`, 0 when there is none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead < 0x80           ? 1
                        : (lead >> 5) == 0x6  ? 2
                        : (lead >> 4) == 0xe  ? 3
                        : (lead >> 3) == 0x1e ? 4
                                              : 0;
  if (length == 0 || text.size() < length) return 0;
  uint32_t value = length == 1 ? lead : lead & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    value = value << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = value >= 0xd800 && value < 0xe000;
  return value < kLeast[length] || surrogate || value > 0x10ffff ? 0 : length;
}

}  // namespace

std::string QuoteToml(std::string_view text) {
  const auto is_plain = [](char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
  };
  std::string out = "\"";
  out.reserve(text.size() + 2);
  while (!text.empty()) {
    // Nearly all of a lock: digests and names.
    const size_t run = static_cast<size_t>(
        std::ranges::find_if_not(text, is_plain) - text.begin());
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) break;
    const size_t length = SequenceLength(text);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      text.remove_prefix(1);
      continue;
    }
    const auto c = static_cast<uint8_t>(text.front());
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text.front();
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04X}", c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out + '"';
}

std::string KeyToml(std::string_view key) {
  const bool bare =
      !key.empty() && key.find_first_not_of(
                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                          "0123456789_-") == std::string_view::npos;
  return bare ? std::string(key) : QuoteToml(key);
}

}  // namespace imgbuild::lock
