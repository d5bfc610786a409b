#include "cli/table.h"

#include <algorithm>

namespace imgbuild::cli {
namespace {

// Characters, not bytes: names may be UTF-8.
size_t Width(const std::string& text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string Table::ToString() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) {
      // Docker's columns are at least ten wide, gap included.
      widths[i] = std::max({widths[i], Width(row[i]) + 3, size_t{10}});
    }
  }
  std::string out;
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += row[i];
      if (i + 1 < row.size()) out.append(widths[i] - Width(row[i]), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace imgbuild::cli
