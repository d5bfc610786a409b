#include "dockerfile/heredoc.h"

#include <algorithm>

#include "imgbuild/util/strings.h"

namespace imgbuild::dockerfile {
namespace {

// The delimiter without quotes and escapes; sets *quoted when a quote was
// removed. A backslash alone does not quote a delimiter here, as in the
// reference implementation.
std::string Unquote(std::string_view text, bool* quoted) {
  std::string out;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
      *quoted = true;
    } else if (quote != 0 && c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      const char next = text[i + 1];
      const bool keeps =
          quote == '"' && next != '"' && next != '$' && next != '\\';
      if (keeps) out += c;
      out += next;
      ++i;
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::optional<Heredoc> ParseHeredocWord(std::string_view word) {
  const size_t arrows = word.find("<<");
  if (arrows == std::string_view::npos) return std::nullopt;
  Heredoc heredoc;
  if (arrows > 0) {
    const std::optional<uint64_t> fd = ParseUint(word.substr(0, arrows));
    // A number that does not fit is only the shell's business.
    heredoc.fd = fd && *fd <= 1'000'000 ? static_cast<int>(*fd) : -1;
  }
  std::string_view rest = word.substr(arrows + 2);
  if (rest.starts_with('-')) {
    heredoc.strip_tabs = true;
    rest.remove_prefix(1);
  }
  rest.remove_prefix(std::min(rest.find_first_not_of(" \t"), rest.size()));
  bool quoted = false;
  heredoc.name = Unquote(rest, &quoted);
  heredoc.expand = !quoted;
  if (heredoc.name.empty()) return std::nullopt;
  return heredoc;
}

std::string StripTabs(std::string_view body) {
  std::string out;
  out.reserve(body.size());
  bool at_start = true;
  for (char c : body) {
    if (at_start && c == '\t') continue;
    at_start = c == '\n';
    out += c;
  }
  return out;
}

}  // namespace imgbuild::dockerfile
