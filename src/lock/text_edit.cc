#include "imgbuild/lock/text_edit.h"

#include <fmt/format.h>

#include <algorithm>

namespace imgbuild::lock {
namespace {

constexpr size_t kContext = 3;

// With their line ends.
std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1) + 1;
    out.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

// As git writes names: in double quotes when there is anything odd in them.
std::string PatchName(std::string_view prefix, std::string_view path) {
  const std::string name = std::string(prefix) + std::string(path);
  const bool odd = std::ranges::any_of(name, [](unsigned char c) {
    return c < ' ' || c >= 0x7F || c == '"' || c == '\\';
  });
  if (!odd) return name;
  std::string out = "\"";
  for (const unsigned char c : name) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < ' ' || c >= 0x7F) {
      out += fmt::format("\\{:03o}", c);
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + "\"";
}

class Patch {
 public:
  Patch(std::string_view before, std::string_view after)
      : before_(Lines(before)), after_(Lines(after)) {
    for (size_t i = 0; i < std::min(before_.size(), after_.size()); ++i) {
      if (before_[i] != after_[i]) changed_.push_back(i);
    }
  }

  std::string Hunks() const {
    std::string out;
    for (size_t i = 0; i < changed_.size();) {
      size_t last = i;
      while (last + 1 < changed_.size() &&
             changed_[last + 1] - changed_[last] <= 2 * kContext + 1) {
        ++last;
      }
      AddHunk(i, last, out);
      i = last + 1;
    }
    return out;
  }

 private:
  // The changed lines first…last (indexes into changed_) make one hunk.
  void AddHunk(size_t first, size_t last, std::string& out) const {
    const size_t begin = changed_[first] - std::min(changed_[first], kContext);
    const size_t end = std::min(changed_[last] + kContext + 1, before_.size());
    const std::string where =
        end - begin == 1 ? fmt::format("{}", begin + 1)
                         : fmt::format("{},{}", begin + 1, end - begin);
    out += fmt::format("@@ -{0} +{0} @@\n", where);
    for (size_t line = begin; line < end;) {
      size_t run = line;  // changed lines that follow each other
      while (run < end && before_[run] != after_[run]) ++run;
      for (size_t i = line; i < run; ++i) AddLine('-', before_[i], out);
      for (size_t i = line; i < run; ++i) AddLine('+', after_[i], out);
      if (run < end) AddLine(' ', before_[run], out);
      line = run + 1;
    }
  }

  static void AddLine(char mark, std::string_view line, std::string& out) {
    out += mark;
    out += line;
    if (!line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
  }

  std::vector<std::string_view> before_;
  std::vector<std::string_view> after_;
  std::vector<size_t> changed_;  // line indexes, ascending
};

}  // namespace

std::string ApplyEdits(std::string_view text, std::vector<TextEdit> edits) {
  std::ranges::sort(edits);
  const auto repeated = std::ranges::unique(edits);
  edits.erase(repeated.begin(), repeated.end());
  std::string out;
  size_t at = 0;
  for (const TextEdit& edit : edits) {
    out += text.substr(at, edit.begin - at);
    out += edit.text;
    at = edit.end;
  }
  return out + std::string(text.substr(at));
}

std::string UnifiedPatch(std::string_view path, std::string_view before,
                         std::string_view after) {
  const std::string hunks = Patch(before, after).Hunks();
  if (hunks.empty()) return "";
  const std::string old_name = PatchName("a/", path);
  const std::string new_name = PatchName("b/", path);
  return fmt::format("diff --git {} {}\n--- {}\n+++ {}\n{}", old_name, new_name,
                     old_name, new_name, hunks);
}

}  // namespace imgbuild::lock
