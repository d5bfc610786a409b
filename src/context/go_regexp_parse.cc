#include "context/go_regexp_parse.h"

#include <optional>
#include <string>
#include <utility>

#include "imgbuild/util/error.h"

#include "context/utf8.h"

namespace imgbuild::context {
namespace {

using Kind = RegexpNode::Kind;
using Assertion = GoRegexp::Assertion;

// Go's bound on {n,m}.
constexpr int kMaxRepeat = 1000;

[[noreturn]] void Fail(const char* reason) {
  throw Error(ErrorCode::kDockerfile, reason);
}

bool IsAlnum(char32_t c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
         (c >= 'a' && c <= 'z');
}

bool IsOctal(char c) { return c >= '0' && c <= '7'; }

int HexValue(char32_t c) {
  if (c >= '0' && c <= '9') return static_cast<int>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<int>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<int>(c - 'A') + 10;
  return -1;
}

struct NamedRanges {
  std::string_view name;
  std::vector<std::pair<char32_t, char32_t>> ranges;
};

const std::vector<std::pair<char32_t, char32_t>>* FindPosixClass(
    std::string_view name) {
  static const auto* const kClasses = new std::vector<NamedRanges>{
      {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
      {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
      {"ascii", {{0, 0x7F}}},
      {"blank", {{'\t', '\t'}, {' ', ' '}}},
      {"cntrl", {{0, 0x1F}, {0x7F, 0x7F}}},
      {"digit", {{'0', '9'}}},
      {"graph", {{'!', '~'}}},
      {"lower", {{'a', 'z'}}},
      {"print", {{' ', '~'}}},
      {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
      {"space", {{'\t', '\r'}, {' ', ' '}}},
      {"upper", {{'A', 'Z'}}},
      {"word", {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
      {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
  };
  for (const NamedRanges& c : *kClasses) {
    if (c.name == name) return &c.ranges;
  }
  return nullptr;
}

RuneSet MakeSet(const std::vector<std::pair<char32_t, char32_t>>& ranges,
                bool negated) {
  RuneSet set;
  for (const auto& [low, high] : ranges) set.Add(low, high);
  if (negated) set.Negate();
  return set;
}

// \d \s \w and their negations; nullopt for any other letter.
std::optional<RuneSet> PerlClass(char letter) {
  switch (letter) {
    case 'd':
    case 'D':
      return MakeSet({{'0', '9'}}, letter == 'D');
    case 's':
    case 'S':
      return MakeSet({{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}}, letter == 'S');
    case 'w':
    case 'W':
      return MakeSet({{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                     letter == 'W');
    default:
      return std::nullopt;
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  RegexpNode ParseAll() {
    RegexpNode node = ParseAlternate();
    if (!text_.empty()) Fail("unexpected )");
    return node;
  }

 private:
  RegexpNode ParseAlternate() {
    RegexpNode alternate;
    alternate.kind = Kind::kAlternate;
    alternate.children.push_back(ParseConcat());
    while (Take('|')) alternate.children.push_back(ParseConcat());
    if (alternate.children.size() > 1) return alternate;
    return std::move(alternate.children.front());
  }

  RegexpNode ParseConcat() {
    RegexpNode concat;
    bool repeated = false;  // the last thing was a repetition
    while (!text_.empty() && text_[0] != '|' && text_[0] != ')') {
      if (const auto bounds = TakeRepetition()) {
        if (concat.children.empty()) {
          Fail("missing argument to repetition operator");
        }
        if (repeated) Fail("invalid nested repetition operator");
        Take('?');  // not greedy: the same strings match
        Repeat(bounds->first, bounds->second, &concat.children.back());
        repeated = true;
        continue;
      }
      repeated = false;
      ParseAtom(&concat.children);
    }
    return concat;
  }

  static void Repeat(int min, int max, RegexpNode* node) {
    RegexpNode repeat;
    repeat.kind = Kind::kRepeat;
    repeat.min = min;
    repeat.max = max;
    repeat.children.push_back(std::move(*node));
    *node = std::move(repeat);
  }

  // '*', '+', '?', "{2}", "{2,}", "{2,3}".
  std::optional<std::pair<int, int>> TakeRepetition() {
    if (Take('*')) return std::pair(0, -1);
    if (Take('+')) return std::pair(1, -1);
    if (Take('?')) return std::pair(0, 1);
    const std::string_view before = text_;
    if (!Take('{')) return std::nullopt;
    const std::optional<int> min = TakeNumber();
    std::optional<int> max = min;
    bool well_formed = min.has_value();
    if (well_formed && Take(',')) {
      if (text_.starts_with('}')) {
        max = -1;
      } else {
        max = TakeNumber();
        well_formed = max.has_value();
      }
    }
    if (!well_formed || !Take('}')) {
      text_ = before;  // a brace like any other character
      return std::nullopt;
    }
    if (*min > kMaxRepeat || *max > kMaxRepeat || (*max >= 0 && *min > *max)) {
      Fail("invalid repeat count");
    }
    return std::pair(*min, *max);
  }

  // No leading zeros; everything above the bound is one more than it.
  std::optional<int> TakeNumber() {
    size_t digits = 0;
    int value = 0;
    while (digits < text_.size() && text_[digits] >= '0' &&
           text_[digits] <= '9') {
      value = std::min(value * 10 + (text_[digits] - '0'), kMaxRepeat + 1);
      ++digits;
    }
    if (digits == 0 || (digits > 1 && text_[0] == '0')) return std::nullopt;
    text_.remove_prefix(digits);
    return value;
  }

  void ParseAtom(std::vector<RegexpNode>* out) {
    if (Take('(')) {
      out->push_back(ParseAlternate());
      if (!Take(')')) Fail("missing closing )");
    } else if (Take('^')) {
      AddAssert(Assertion::kBegin, out);
    } else if (Take('$')) {
      AddAssert(Assertion::kEnd, out);
    } else if (Take('.')) {
      AddSet(MakeSet({{'\n', '\n'}}, true), out);
    } else if (text_[0] == '[') {
      AddSet(TakeClass(), out);
    } else if (text_[0] == '\\') {
      ParseBackslash(out);
    } else {
      AddRune(TakeRune(), out);
    }
  }

  void ParseBackslash(std::vector<RegexpNode>* out) {
    if (text_.size() >= 2) {
      switch (text_[1]) {
        case 'A':
          return AddAssert(Assertion::kBegin, out, 2);
        case 'z':
          return AddAssert(Assertion::kEnd, out, 2);
        case 'b':
          return AddAssert(Assertion::kWord, out, 2);
        case 'B':
          return AddAssert(Assertion::kNotWord, out, 2);
        case 'Q':
          return ParseQuoted(out);
        case 'p':
        case 'P':
          Fail("unicode classes are not supported");
        default:
          break;
      }
      if (auto set = PerlClass(text_[1])) {
        text_.remove_prefix(2);
        return AddSet(std::move(*set), out);
      }
    }
    AddRune(TakeEscape(), out);
  }

  // \Q...\E, or up to the end.
  void ParseQuoted(std::vector<RegexpNode>* out) {
    text_.remove_prefix(2);
    while (!text_.empty() && !text_.starts_with("\\E")) {
      AddRune(TakeRune(), out);
    }
    if (!text_.empty()) text_.remove_prefix(2);
  }

  // REQUIRES: text_ begins with '['.
  RuneSet TakeClass() {
    text_.remove_prefix(1);
    const bool negated = Take('^');
    RuneSet set;
    for (bool first = true;; first = false) {
      if (text_.empty()) Fail("missing closing ]");
      if (!first && Take(']')) break;
      if (!TakeNamedClass(&set)) TakeClassRange(&set);
    }
    if (negated) set.Negate();
    return set;
  }

  // [:alpha:], \d and the like.
  bool TakeNamedClass(RuneSet* set) {
    if (text_.size() > 2 && text_.starts_with("[:")) {
      const size_t end = text_.find(":]", 2);
      if (end != std::string_view::npos) {
        std::string_view name = text_.substr(2, end - 2);
        const bool negated = name.starts_with('^');
        if (negated) name.remove_prefix(1);
        const auto* const ranges = FindPosixClass(name);
        if (ranges == nullptr) Fail("invalid character class range");
        set->AddAll(MakeSet(*ranges, negated));
        text_.remove_prefix(end + 2);
        return true;
      }
    }
    if (text_.size() < 2 || text_[0] != '\\') return false;
    if (text_[1] == 'p' || text_[1] == 'P') {
      Fail("unicode classes are not supported");
    }
    const auto perl = PerlClass(text_[1]);
    if (!perl) return false;
    set->AddAll(*perl);
    text_.remove_prefix(2);
    return true;
  }

  void TakeClassRange(RuneSet* set) {
    const char32_t low = TakeClassChar();
    char32_t high = low;
    // A '-' in front of the closing bracket is itself.
    if (text_.size() >= 2 && text_[0] == '-' && text_[1] != ']') {
      text_.remove_prefix(1);
      high = TakeClassChar();
      if (high < low) Fail("invalid character class range");
    }
    set->Add(low, high);
  }

  char32_t TakeClassChar() {
    if (text_.empty()) Fail("missing closing ]");
    return text_[0] == '\\' ? TakeEscape() : TakeRune();
  }

  // REQUIRES: text_ begins with '\\'.
  char32_t TakeEscape() {
    text_.remove_prefix(1);
    if (text_.empty()) Fail("trailing backslash at end of expression");
    const char32_t c = TakeRune();
    if (c < 0x80 && !IsAlnum(c)) return c;
    switch (c) {
      case 'a':
        return '\a';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'v':
        return '\v';
      case 'x':
        return TakeHex();
      default:
        break;
    }
    // \1 alone would be a back reference, \12 is octal.
    const bool octal = c == '0' || (c >= '1' && c <= '7' && !text_.empty() &&
                                    IsOctal(text_[0]));
    if (!octal) Fail("invalid escape sequence");
    char32_t value = c - '0';
    for (int i = 1; i < 3 && !text_.empty() && IsOctal(text_[0]); ++i) {
      value = value * 8 + static_cast<char32_t>(text_[0] - '0');
      text_.remove_prefix(1);
    }
    return value;
  }

  // Behind \x: "41" or "{1F600}".
  char32_t TakeHex() {
    if (!Take('{')) {
      int value = 0;
      for (int i = 0; i < 2; ++i) {
        const int digit = text_.empty() ? -1 : HexValue(TakeRune());
        if (digit < 0) Fail("invalid escape sequence");
        value = value * 16 + digit;
      }
      return static_cast<char32_t>(value);
    }
    char32_t value = 0;
    for (int digits = 0;; ++digits) {
      if (digits > 0 && Take('}')) return value;
      const int digit = text_.empty() ? -1 : HexValue(TakeRune());
      if (digit < 0) Fail("invalid escape sequence");
      value = value * 16 + static_cast<char32_t>(digit);
      if (value > kMaxRune) Fail("invalid escape sequence");
    }
  }

  bool Take(char c) {
    if (!text_.starts_with(c)) return false;
    text_.remove_prefix(1);
    return true;
  }

  char32_t TakeRune() {
    const Rune rune = DecodeRune(text_);
    text_.remove_prefix(rune.size);
    return rune.value;
  }

  static void AddRune(char32_t rune, std::vector<RegexpNode>* out) {
    out->emplace_back();
    out->back().kind = Kind::kRune;
    out->back().rune = rune;
  }
  static void AddSet(RuneSet set, std::vector<RegexpNode>* out) {
    out->emplace_back();
    out->back().kind = Kind::kSet;
    out->back().set = std::move(set);
  }
  void AddAssert(Assertion assertion, std::vector<RegexpNode>* out,
                 size_t consumed = 0) {
    text_.remove_prefix(consumed);
    out->emplace_back();
    out->back().kind = Kind::kAssert;
    out->back().assertion = assertion;
  }

  std::string_view text_;
};

}  // namespace

RegexpNode ParseGoRegexp(std::string_view expression) {
  return Parser(expression).ParseAll();
}

}  // namespace imgbuild::context
