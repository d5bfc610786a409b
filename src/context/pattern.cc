#include "context/pattern.h"

#include <algorithm>
#include <utility>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "context/utf8.h"

namespace imgbuild::context {
namespace {

// The reference means to escape all of ".+()|{}$", but its bitmap loses those
// above 'z': '|', '{' and '}' reach the regular expression as they are.
bool IsEscaped(char32_t c) {
  return c == '.' || c == '+' || c == '(' || c == ')' || c == '$';
}

// Characters whose meaning in the expression is not their own, so that literal
// prefixes and suffixes cannot be read off the pattern.
bool IsOdd(char32_t c) {
  return c == '[' || c == ']' || c == '\\' || c == '^' || c == '|' ||
         c == '{' || c == '}' || c == kRuneError;
}

size_t CountComponents(std::string_view path) {
  return static_cast<size_t>(std::count(path.begin(), path.end(), '/')) + 1;
}

// Builds the expression and gathers what helps to avoid it.
class Translator {
 public:
  explicit Translator(std::string_view pattern) : rest_(pattern) {
    // The reference's scanner drops a leading byte order mark.
    if (rest_.starts_with("\xEF\xBB\xBF")) rest_.remove_prefix(3);
  }

  void Run() {
    for (bool first = true; !rest_.empty(); first = false) {
      const char32_t c = Take();
      if (c == '*' && Peek() == '*') {
        TakeDoubleStar(first);
      } else if (c == '*') {
        Wildcard("[^/]*");
      } else if (c == '?') {
        Wildcard("[^/]");
      } else if (c == '\\') {
        odd = true;
        expression += '\\';
        if (rest_.empty()) continue;
        AppendRune(Take(), &expression);
        kind = Kind::kRegexp;
      } else {
        if (c == '[' || c == ']') kind = Kind::kRegexp;
        Literal(c);
      }
    }
    if (kind == Kind::kRegexp) expression += '$';
  }

  enum class Kind { kExact, kPrefix, kSuffix, kRegexp };
  Kind kind = Kind::kExact;
  std::string expression = "^";
  std::string prefix;
  std::string suffix;
  bool odd = false;
  bool any_depth = false;

 private:
  // Behind "**", its '/' if there is one belongs to it.
  void TakeDoubleStar(bool first) {
    Take();
    if (Peek() == '/') Take();
    any_depth = true;
    if (!rest_.empty()) {
      Wildcard("(.*/)?");
    } else if (kind == Kind::kExact) {
      kind = Kind::kPrefix;
    } else {
      Wildcard(".*");
    }
    if (first) kind = Kind::kSuffix;
  }

  void Wildcard(const char* text) {
    expression += text;
    kind = Kind::kRegexp;
    in_prefix_ = false;
    suffix.clear();
  }

  void Literal(char32_t c) {
    if (IsOdd(c)) odd = true;
    if (IsEscaped(c)) expression += '\\';
    AppendRune(c, &expression);
    if (in_prefix_) AppendRune(c, &prefix);
    AppendRune(c, &suffix);
  }

  char32_t Peek() const { return DecodeRune(rest_).value; }
  char32_t Take() {
    const Rune rune = DecodeRune(rest_);
    rest_.remove_prefix(rune.size);
    return rune.value;
  }

  std::string_view rest_;
  bool in_prefix_ = true;
};

}  // namespace

std::optional<Pattern> Pattern::Parse(std::string_view line) {
  line = TrimUnicodeSpace(line);
  if (line.empty()) return std::nullopt;
  Pattern pattern;
  // Cleaned with its '!', as the reference does: "!/../x" is "x".
  pattern.text_ = fs::CleanPath(line);
  if (pattern.text_[0] == '!') {
    if (pattern.text_.size() == 1) {
      throw Error(ErrorCode::kDockerfile, "illegal exclusion pattern \"!\"");
    }
    pattern.exception_ = true;
    pattern.text_.erase(0, 1);
  }
  GlobMatch(pattern.text_, ".");  // for its syntax check
  pattern.Compile();
  return pattern;
}

void Pattern::Compile() {
  Translator translator(text_);
  translator.Run();
  kind_ = static_cast<Kind>(translator.kind);
  if (kind_ != Kind::kRegexp) return;
  expression_ = std::move(translator.expression);
  regexp_ = std::make_shared<const GoRegexp>(expression_);
  if (translator.odd) return;
  literal_prefix_ = std::move(translator.prefix);
  literal_suffix_ = std::move(translator.suffix);
  if (!translator.any_depth) components_ = CountComponents(text_);
}

bool Pattern::MatchesExactly(std::string_view path) const {
  const std::string_view text = text_;
  switch (kind_) {
    case Kind::kExact:
      return path == text;
    case Kind::kPrefix:
      return path.starts_with(text.substr(0, text.size() - 2));
    case Kind::kSuffix: {
      const std::string_view suffix = text.substr(2);
      return path.ends_with(suffix) ||
             (suffix.starts_with('/') && path == suffix.substr(1));
    }
    case Kind::kRegexp:
      return path.starts_with(literal_prefix_) &&
             path.ends_with(literal_suffix_) && regexp_->Match(path);
  }
  return false;
}

bool Pattern::CouldMatchBelow(std::string_view directory) const {
  const std::string below = std::string(directory) + "/";
  switch (kind_) {
    case Kind::kExact:
      return text_.starts_with(below);
    case Kind::kPrefix: {
      const std::string_view prefix =
          std::string_view(text_).substr(0, text_.size() - 2);
      return prefix.starts_with(below) || below.starts_with(prefix);
    }
    case Kind::kSuffix:
      return true;
    case Kind::kRegexp:
      if (components_ != 0 && CountComponents(directory) >= components_) {
        return false;
      }
      return literal_prefix_.starts_with(below) ||
             below.starts_with(literal_prefix_);
  }
  return true;
}

}  // namespace imgbuild::context
