#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "dockerfile/ast_builder.h"

namespace imgbuild::dockerfile {
namespace {

// The longer names first: "ms" before "m".
constexpr std::pair<std::string_view, double> kUnits[] = {
    {"ns", 1},   {"us", 1e3}, {"\u00B5s", 1e3}, {"\u03BCs", 1e3},
    {"ms", 1e6}, {"s", 1e9},  {"m", 60e9},      {"h", 3600e9},
};

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

std::optional<int64_t> ParseGoDuration(std::string_view text) {
  bool negative = false;
  if (text.starts_with('-') || text.starts_with('+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  // Long double has 64 bits of mantissa: exact for every int64_t.
  long double total = 0;
  while (!text.empty()) {
    long double number = 0;
    bool digits = false;
    while (!text.empty() && IsDigit(text[0])) {
      number = number * 10 + (text[0] - '0');
      text.remove_prefix(1);
      digits = true;
    }
    if (text.starts_with('.')) {
      text.remove_prefix(1);
      long double scale = 0.1L;
      while (!text.empty() && IsDigit(text[0])) {
        number += (text[0] - '0') * scale;
        scale /= 10;
        text.remove_prefix(1);
        digits = true;
      }
    }
    if (!digits) return std::nullopt;
    bool found = false;
    for (const auto& [unit, factor] : kUnits) {
      if (!text.starts_with(unit)) continue;
      text.remove_prefix(unit.size());
      total += number * static_cast<long double>(factor);
      found = true;
      break;
    }
    if (!found ||
        total > static_cast<long double>(std::numeric_limits<int64_t>::max()))
      return std::nullopt;
  }
  const int64_t value = static_cast<int64_t>(total + 1e-6L);
  return negative ? -value : value;
}

}  // namespace imgbuild::dockerfile
