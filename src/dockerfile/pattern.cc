#include "dockerfile/pattern.h"

#include <algorithm>
#include <cstdint>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/quote.h"
#include "dockerfile/utf8.h"

namespace imgbuild::dockerfile {
namespace {

// Steps that one replacement may take: seconds, not hours, for hostile input.
constexpr uint64_t kMaxSteps = 200'000'000;

}  // namespace

Pattern::Pattern(std::string_view text) {
  const auto literal = [&](size_t at) {
    const size_t size = RuneAt(text, at).size;
    items_.push_back({Item::Kind::kText, std::string(text.substr(at, size))});
    return size;
  };
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '*' || text[i] == '?') {
      const bool star = text[i] == '*';
      // "**" is "*".
      if (!star || items_.empty() || items_.back().kind != Item::Kind::kStar)
        items_.push_back({star ? Item::Kind::kStar : Item::Kind::kAny, ""});
      ++i;
      continue;
    }
    if (text[i] == '\\') {
      const std::string_view next = text.substr(i + 1, 1);
      if (next.empty() ||
          std::string_view("*?\\}/").find(next[0]) == std::string_view::npos) {
        throw Error(ErrorCode::kDockerfile,
                    "invalid escape " +
                        Shown(text.substr(i, 1 + RuneAt(text, i + 1).size)) +
                        " in the pattern " + Shown(text));
      }
      ++i;
    }
    i += literal(i);
  }
}

std::optional<size_t> Pattern::MatchEnd(std::string_view value, size_t begin,
                                        bool longest, uint64_t* steps) const {
  // Where what was read of the pattern can end, in rising order: a set for the
  // whole pattern at once, so that stars do not backtrack.
  std::vector<size_t> ends = {begin};
  for (const Item& item : items_) {
    std::vector<size_t> next;
    if (item.kind == Item::Kind::kStar) {
      for (size_t end : ends) {
        if (!next.empty() && end <= next.back()) continue;
        next.push_back(end);
        while (end < value.size() && value[end] != '\n') {
          end += RuneAt(value, end).size;
          next.push_back(end);
        }
      }
    } else {
      for (size_t end : ends) {
        size_t size = 0;
        if (item.kind == Item::Kind::kAny) {
          if (end < value.size() && value[end] != '\n')
            size = RuneAt(value, end).size;
        } else if (value.substr(end).starts_with(item.text)) {
          size = item.text.size();
        }
        if (size != 0) next.push_back(end + size);
      }
    }
    *steps += 1 + ends.size() + next.size();
    if (*steps > kMaxSteps) {
      throw Error(ErrorCode::kDockerfile,
                  "the value is too long for this pattern: " +
                      std::to_string(value.size()) + " bytes");
    }
    if (next.empty()) return std::nullopt;
    ends = std::move(next);
  }
  return longest ? ends.back() : ends.front();
}

std::string_view Pattern::CutPrefix(std::string_view value,
                                    bool longest) const {
  uint64_t steps = 0;
  const std::optional<size_t> end = MatchEnd(value, 0, longest, &steps);
  return end ? value.substr(*end) : value;
}

std::string_view Pattern::CutSuffix(std::string_view value,
                                    bool longest) const {
  // A prefix of the reversed value for the reversed pattern. Characters are
  // reversed whole.
  const auto reverse = [](std::string_view text) {
    std::string out;
    out.reserve(text.size());
    std::vector<size_t> starts;
    for (size_t i = 0; i < text.size(); i += RuneAt(text, i).size)
      starts.push_back(i);
    size_t end = text.size();
    for (size_t i = starts.size(); i-- > 0;) {
      out += text.substr(starts[i], end - starts[i]);
      end = starts[i];
    }
    return out;
  };
  Pattern reversed = *this;
  std::reverse(reversed.items_.begin(), reversed.items_.end());
  const std::string backwards = reverse(value);
  uint64_t steps = 0;
  const std::optional<size_t> end =
      reversed.MatchEnd(backwards, 0, longest, &steps);
  return end ? value.substr(0, value.size() - *end) : value;
}

std::string Pattern::Replace(std::string_view value, std::string_view text,
                             bool all) const {
  std::string out;
  uint64_t steps = 0;
  size_t begin = 0;
  size_t last_end = std::string_view::npos;  // of the match before
  while (begin <= value.size()) {
    const std::optional<size_t> end =
        MatchEnd(value, begin, /*longest=*/true, &steps);
    // An empty match right behind another one does not count.
    if (end && !(*end == begin && begin == last_end)) {
      out += text;
      last_end = *end;
      if (!all) {
        out += value.substr(*end);
        return out;
      }
      if (*end > begin) {
        begin = *end;
        continue;
      }
    }
    const size_t size = RuneAt(value, begin).size;
    out += value.substr(begin, size);
    begin += std::max<size_t>(size, 1);
  }
  return out;
}

}  // namespace imgbuild::dockerfile
