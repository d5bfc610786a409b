#include "imgbuild/dockerfile/expand.h"

#include <algorithm>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/line_reader.h"
#include "dockerfile/pattern.h"
#include "dockerfile/quote.h"
#include "dockerfile/sub_range.h"
#include "dockerfile/utf8.h"

namespace imgbuild::dockerfile {
namespace {

// ${a:-${b:-…}} deeper than this is nobody's work.
constexpr int kMaxDepth = 100;

bool IsDigit(uint32_t code) { return code >= '0' && code <= '9'; }

// The one-character parameters of the shell. They are names like others, and
// normally unset.
bool IsSpecial(uint32_t code) {
  return code < 0x80 &&
         std::string_view("@*#?-$!0").find(static_cast<char>(code)) !=
             std::string_view::npos;
}

// The length of the variable name at `position`: special parameters and
// numbers included, 0 when there is none.
size_t NameSize(std::string_view text, size_t position) {
  Rune rune = RuneAt(text, position);
  if (rune.size == 0) return 0;
  size_t end = position;
  if (IsDigit(rune.code)) {
    while (IsDigit(RuneAt(text, end).code)) ++end;
    return end - position;
  }
  if (IsSpecial(rune.code)) return 1;
  while (rune.valid && rune.size != 0 &&
         (IsLetterRune(rune.code) || IsDigit(rune.code) || rune.code == '_')) {
    end += rune.size;
    rune = RuneAt(text, end);
  }
  return end - position;
}

// Text that remembers which of its bytes may separate words: those that are
// neither quoted nor escaped.
struct Piece {
  std::string text;
  std::string raw;  // as long as text: 1 for a byte that never separates

  void Add(std::string_view part, bool is_raw) {
    text += part;
    raw.append(part.size(), is_raw ? 1 : 0);
  }
};

class Expander {
 public:
  Expander(std::string_view text, const Lookup& lookup, char escape,
           bool quotes)
      : text_(text), lookup_(lookup), escape_(escape), quotes_(quotes) {}

  Piece Run() {
    Piece out;
    UpTo('\0', /*raw_escapes=*/false, &out);
    return out;
  }

  // Where the construct that failed begins and how long it is.
  size_t error_begin() const { return error_begin_; }
  size_t error_size() const {
    return std::max(at_, error_begin_) - error_begin_;
  }
  std::set<std::string> matched;
  std::set<std::string> unmatched;

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }

  [[noreturn]] void Fail(size_t begin, const std::string& why) {
    error_begin_ = begin;
    throw Error(ErrorCode::kDockerfile, why);
  }

  // Everything up to `stop` (which is consumed), or to the end for '\0'.
  void UpTo(char stop, bool raw_escapes, Piece* out) {
    while (!AtEnd()) {
      const char c = text_[at_];
      if (stop != '\0' && c == stop) {
        ++at_;
        return;
      }
      if (c == '$') {
        out->Add(Dollar(), /*is_raw=*/false);
      } else if (quotes_ && c == '\'') {
        out->Add(SingleQuoted(), /*is_raw=*/true);
      } else if (quotes_ && c == '"') {
        out->Add(DoubleQuoted(raw_escapes), /*is_raw=*/true);
      } else if (c == escape_) {
        ++at_;
        if (raw_escapes) out->Add({&c, 1}, /*is_raw=*/true);
        const size_t size = RuneAt(text_, at_).size;  // 0 at the end
        out->Add(text_.substr(at_, size), /*is_raw=*/true);
        at_ += size;
      } else {
        out->Add({&c, 1}, /*is_raw=*/false);
        ++at_;
      }
    }
    if (stop != '\0') throw MissingStop();
  }

  struct MissingStop {};

  std::string SingleQuoted() {
    const size_t begin = at_++;
    const size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) {
      at_ = text_.size();
      Fail(begin, "a single quote has no end");
    }
    std::string out(text_.substr(at_, end - at_));
    at_ = end + 1;
    return out;
  }

  std::string DoubleQuoted(bool raw_escapes) {
    const size_t begin = at_++;
    std::string out;
    while (!AtEnd()) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '$') {
        out += Dollar();
        continue;
      }
      ++at_;
      if (c != escape_) {
        out += c;
        continue;
      }
      // Only '"', '$' and the escape character itself can be escaped here; a
      // last escape is dropped.
      if (raw_escapes) out += c;
      const char next = Peek();
      if (AtEnd()) continue;
      if (next == '"' || next == '$' || next == escape_) {
        out += next;
        ++at_;
      } else {
        out += c;
      }
    }
    Fail(begin, "a double quote has no end");
  }

  std::optional<std::string> Get(const std::string& name) {
    std::optional<std::string> value = lookup_(name);
    (value ? matched : unmatched).insert(name);
    return value;
  }

  std::string Dollar() {
    const size_t begin = at_++;
    if (Peek() != '{' || AtEnd()) {
      const size_t size = NameSize(text_, at_);
      if (size == 0) return "$";
      const std::string name(text_.substr(at_, size));
      at_ += size;
      return Get(name).value_or("");
    }
    ++at_;
    if (++depth_ > kMaxDepth) Fail(begin, "variables are nested too deep");
    std::string out = Braces(begin);
    --depth_;
    return out;
  }

  // What stands behind "${".
  std::string Braces(size_t begin) {
    if (AtEnd()) Fail(begin, "missing '}'");
    if (Peek() == '{' || Peek() == '}' || Peek() == ':')
      Fail(begin, "bad substitution");
    const size_t size = NameSize(text_, at_);
    const std::string name(text_.substr(at_, size));
    at_ += size;
    if (AtEnd()) Fail(begin, "missing '}'");
    std::string modifier(1, text_[at_++]);
    if (modifier == "}") return Get(name).value_or("");
    bool empty_is_unset = false;
    if (modifier == ":") {
      if (AtEnd()) Fail(begin, "missing '}'");
      empty_is_unset = true;
      modifier += text_[at_++];
    }
    const char op = modifier.back();
    if (op == '-' || op == '+' || op == '?')
      return Default(begin, name, op, empty_is_unset);
    if (!empty_is_unset && (op == '#' || op == '%'))
      return Cut(begin, name, op);
    if (!empty_is_unset && op == '/') return Replace(begin, name);
    // The whole character, for the message.
    const size_t more = RuneAt(text_, at_ - 1).size;
    if (more > 1) {
      modifier += text_.substr(at_, more - 1);
      at_ += more - 1;
    }
    Fail(begin, "unsupported modifier (" + modifier + ")");
  }

  // The word up to `stop`, itself expanded.
  std::string Operand(size_t begin, char stop, bool raw_escapes,
                      const char* missing) {
    Piece out;
    try {
      UpTo(stop, raw_escapes, &out);
    } catch (const MissingStop&) {
      Fail(begin, missing);
    }
    return std::move(out.text);
  }

  std::string Default(size_t begin, const std::string& name, char op,
                      bool empty_is_unset) {
    const std::string word = Operand(begin, '}', false, "missing '}'");
    const std::optional<std::string> value = Get(name);
    const bool unset = !value || (empty_is_unset && value->empty());
    if (op == '-') return unset ? word : *value;
    if (op == '+') return unset ? "" : word;
    if (!unset) return *value;
    const char* reason =
        !value ? "is not allowed to be unset" : "is not allowed to be empty";
    Fail(begin, name + ": " + (word.empty() ? reason : word));
  }

  std::string Cut(size_t begin, const std::string& name, char op) {
    std::string word = Operand(begin, '}', true, "missing '}'");
    const bool longest = word.starts_with(op);
    if (longest) word.erase(0, 1);
    const std::optional<std::string> value = Get(name);
    try {
      const Pattern pattern(word);
      const std::string_view text = value ? std::string_view(*value) : "";
      return std::string(op == '#' ? pattern.CutPrefix(text, longest)
                                   : pattern.CutSuffix(text, longest));
    } catch (const Error& error) {
      Fail(begin, error.message());
    }
  }

  std::string Replace(size_t begin, const std::string& name) {
    const bool all = !AtEnd() && Peek() == '/';
    if (all) ++at_;
    const std::string word = Operand(begin, '/', true, "missing '/'");
    const std::string with = Operand(begin, '}', true, "missing '}'");
    const std::optional<std::string> value = Get(name);
    try {
      return Pattern(word).Replace(value.value_or(""), with, all);
    } catch (const Error& error) {
      Fail(begin, error.message());
    }
  }

  const std::string_view text_;
  const Lookup& lookup_;
  const char escape_;
  const bool quotes_;
  size_t at_ = 0;
  size_t error_begin_ = 0;
  int depth_ = 0;
};

Piece RunOn(const Word& word, Expander* expander) {
  try {
    return expander->Run();
  } catch (Error& error) {
    throw Error(ErrorCode::kDockerfile,
                "expand " + Shown(word.text) + ": " + error.message())
        .At(SubRange(word, expander->error_begin(), expander->error_size()));
  }
}

}  // namespace

ExpandResult Expand(const Word& word, const Lookup& lookup, char escape) {
  Expander expander(word.text, lookup, escape, /*quotes=*/true);
  Piece piece = RunOn(word, &expander);
  return {std::move(piece.text), std::move(expander.unmatched),
          std::move(expander.matched)};
}

ExpandWordsResult ExpandWords(const Word& word, const Lookup& lookup,
                              char escape) {
  Expander expander(word.text, lookup, escape, /*quotes=*/true);
  const Piece piece = RunOn(word, &expander);
  ExpandWordsResult out;
  std::string current;
  for (size_t i = 0; i < piece.text.size();) {
    const size_t space = piece.raw[i] == 0 ? SpaceAt(piece.text, i) : 0;
    if (space == 0) {
      current += piece.text[i++];
      continue;
    }
    if (!current.empty()) out.words.push_back(std::exchange(current, ""));
    i += space;
  }
  if (!current.empty()) out.words.push_back(std::move(current));
  out.unmatched = std::move(expander.unmatched);
  return out;
}

ExpandResult ExpandHeredoc(const Heredoc& heredoc, const Lookup& lookup) {
  Expander expander(heredoc.body, lookup, '\\', /*quotes=*/false);
  try {
    Piece piece = expander.Run();
    return {std::move(piece.text), std::move(expander.unmatched),
            std::move(expander.matched)};
  } catch (Error& error) {
    Error located(ErrorCode::kDockerfile, "expand the here-document " +
                                              Shown(heredoc.name) + ": " +
                                              error.message());
    if (!heredoc.body_range) throw located;
    // The line in the body is the line in the file, moved by removed tabs.
    const std::string_view before =
        std::string_view(heredoc.body).substr(0, expander.error_begin());
    const uint32_t line =
        heredoc.body_range.begin().line +
        static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n'));
    size_t column = before.size() - (before.rfind('\n') + 1);
    const SourceFile& file = *heredoc.body_range.file();
    if (heredoc.strip_tabs) {
      const std::string_view text = file.Line(line);
      column += std::min(text.find_first_not_of('\t'), text.size());
    }
    const uint32_t first = static_cast<uint32_t>(column) + 1;
    const uint32_t last = first + static_cast<uint32_t>(std::max<size_t>(
                                      expander.error_size(), 1));
    throw located.At(
        SourceRange(heredoc.body_range.file(), {line, first}, {line, last}));
  }
}

bool HasVariable(std::string_view text, char escape) {
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\'') {
      if (c == '\'') quote = 0;
    } else if (c == escape) {
      ++i;
    } else if (c == '"') {
      quote = quote == 0 ? '"' : '\0';
    } else if (c == '\'' && quote == 0) {
      quote = '\'';
    } else if (c == '$' && (text.substr(i + 1).starts_with('{') ||
                            NameSize(text, i + 1) > 0)) {
      return true;
    }
  }
  return false;
}

}  // namespace imgbuild::dockerfile
