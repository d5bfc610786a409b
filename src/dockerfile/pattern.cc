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
constexpr uint64_t kMaxSteps = 500'000'000;

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
                                        bool longest) const {
  // reached[k]: what was read of the pattern can end at begin + k. A set for
  // the whole pattern at once, so that stars do not backtrack.
  const size_t size = value.size() - begin;
  std::vector<char> reached(size + 1, 0);
  reached[0] = 1;
  size_t low = 0;   // no position below is reached
  size_t high = 0;  // nor above
  for (const Item& item : items_) {
    if (item.kind == Item::Kind::kStar) {
      bool open = false;
      for (size_t k = low; k <= size; ++k) {
        open = open || reached[k] != 0;
        reached[k] = open ? 1 : 0;
        if (open) high = std::max(high, k);
        if (k < size && value[begin + k] == '\n') open = false;
      }
      continue;
    }
    std::vector<char> next(size + 1, 0);
    bool any = false;
    size_t next_low = 0;
    size_t next_high = 0;
    for (size_t k = low; k <= high; ++k) {
      if (reached[k] == 0 || k == size) continue;
      size_t step = 0;
      if (item.kind == Item::Kind::kAny) {
        if (value[begin + k] != '\n') step = RuneAt(value, begin + k).size;
      } else if (value.substr(begin + k).starts_with(item.text)) {
        step = item.text.size();
      }
      if (step == 0) continue;
      next[k + step] = 1;
      if (!any) next_low = k + step;
      next_high = k + step;
      any = true;
    }
    if (!any) return std::nullopt;
    reached = std::move(next);
    low = next_low;
    high = next_high;
  }
  if (!longest) {
    for (size_t k = low; k <= high; ++k) {
      if (reached[k] != 0) return begin + k;
    }
    return std::nullopt;
  }
  for (size_t k = high + 1; k-- > low;) {
    if (reached[k] != 0) return begin + k;
  }
  return std::nullopt;
}

std::string_view Pattern::CutPrefix(std::string_view value,
                                    bool longest) const {
  const std::optional<size_t> end = MatchEnd(value, 0, longest);
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
  const std::optional<size_t> end = reversed.MatchEnd(backwards, 0, longest);
  return end ? value.substr(0, value.size() - *end) : value;
}

std::string Pattern::Replace(std::string_view value, std::string_view text,
                             bool all) const {
  std::string out;
  uint64_t steps = 0;
  size_t begin = 0;
  size_t last_end = std::string_view::npos;  // of the match before
  const bool starts_with_text =
      !items_.empty() && items_[0].kind == Item::Kind::kText;
  while (begin <= value.size()) {
    std::optional<size_t> end;
    if (!starts_with_text || value.substr(begin).starts_with(items_[0].text)) {
      steps += (value.size() - begin + 1) * (items_.size() + 1);
      if (steps > kMaxSteps) {
        throw Error(ErrorCode::kDockerfile,
                    "the value is too long for this pattern: " +
                        std::to_string(value.size()) + " bytes");
      }
      end = MatchEnd(value, begin, /*longest=*/true);
    }
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
