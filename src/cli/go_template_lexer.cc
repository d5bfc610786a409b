#include "cli/go_template_lexer.h"

#include <fmt/format.h>

#include <cctype>
#include <optional>
#include <string_view>

namespace imgbuild::cli::go_template {
namespace {

using Kind = Token::Kind;

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsWordChar(char c) {
  return c == '_' || std::isalnum(static_cast<unsigned char>(c)) ||
         (c & 0x80) != 0;
}

void AppendUtf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3F));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3F));
    out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

// The one character of 'a' as its code point.
std::optional<uint32_t> OnlyRune(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const size_t n = byte(0) < 0x80   ? 1
                   : byte(0) < 0xE0 ? 2
                   : byte(0) < 0xF0 ? 3
                                    : 4;
  if (text.size() != n) return std::nullopt;
  uint32_t rune = n == 1 ? byte(0) : byte(0) & (0x7Fu >> n);
  for (size_t i = 1; i < n; ++i) rune = rune << 6 | (byte(i) & 0x3F);
  return rune;
}

class Lexer {
 public:
  explicit Lexer(Source source)
      : source_(std::move(source)), text_(source_->text()) {}

  std::vector<Token> Run() {
    while (at_ < text_.size()) {
      LexText();
      if (at_ < text_.size()) LexAction();
    }
    Add(Kind::kEnd, at_, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void Fail(const std::string& reason, size_t begin,
                         size_t end) const {
    throw TemplateError(ErrorCode::kFailed, reason, source_, begin, end);
  }
  void Add(Kind kind, size_t begin, std::string text) {
    tokens_.push_back({kind, std::move(text), begin, at_, blank_});
    blank_ = false;
  }
  bool At(std::string_view word) const {
    return text_.substr(at_, word.size()) == word;
  }
  // "- " behind {{, " -" before }}.
  bool TrimAt(size_t at) const {
    return at + 1 < text_.size() && text_[at] == '-' && IsBlank(text_[at + 1]);
  }
  bool RightAt(size_t at, size_t* length, bool* trim) const {
    if (text_.substr(at, 2) == "}}") {
      *length = 2;
      *trim = false;
      return true;
    }
    if (at < text_.size() && IsBlank(text_[at]) &&
        text_.substr(at + 1, 3) == "-}}") {
      *length = 4;
      *trim = true;
      return true;
    }
    return false;
  }

  void LexText() {
    const size_t begin = at_;
    at_ = std::min(text_.find("{{", at_), text_.size());
    std::string_view body = text_.substr(begin, at_ - begin);
    if (trim_next_) {
      while (!body.empty() && IsBlank(body.front())) body.remove_prefix(1);
    }
    trim_next_ = false;
    if (at_ < text_.size() && TrimAt(at_ + 2)) {
      while (!body.empty() && IsBlank(body.back())) body.remove_suffix(1);
    }
    if (!body.empty()) Add(Kind::kText, begin, std::string(body));
  }

  void LexAction() {
    const size_t begin = at_;
    at_ += TrimAt(at_ + 2) ? 4 : 2;
    if (At("/*")) return LexComment(begin);
    blank_ = false;
    Add(Kind::kLeft, begin, "");
    while (true) {
      size_t length = 0;
      bool trim = false;
      if (RightAt(at_, &length, &trim)) {
        const size_t right = at_;
        at_ += length;
        trim_next_ = trim;
        return Add(Kind::kRight, right, "");
      }
      if (at_ >= text_.size()) Fail("unclosed action", begin, at_);
      if (IsBlank(text_[at_])) {
        blank_ = true;
        ++at_;
        continue;
      }
      LexToken();
    }
  }

  void LexComment(size_t begin) {
    const size_t end = text_.find("*/", at_);
    if (end == std::string_view::npos) {
      Fail("unclosed comment", begin, text_.size());
    }
    at_ = end + 2;
    size_t length = 0;
    if (!RightAt(at_, &length, &trim_next_)) {
      Fail("a comment ends with */}}", begin, at_);
    }
    at_ += length;
  }

  void LexToken() {
    const size_t begin = at_;
    const char c = text_[at_++];
    const char next = at_ < text_.size() ? text_[at_] : '\0';
    switch (c) {
      case '|':
        return Add(Kind::kPipe, begin, "|");
      case '(':
        return Add(Kind::kOpen, begin, "(");
      case ')':
        return Add(Kind::kClose, begin, ")");
      case ',':
        return Add(Kind::kComma, begin, ",");
      case '=':
        return Add(Kind::kAssign, begin, "=");
      case ':':
        if (next != '=') Fail("expected :=", begin, at_);
        ++at_;
        return Add(Kind::kDeclare, begin, ":=");
      case '"':
        return LexQuoted(begin, '"');
      case '\'':
        return LexQuoted(begin, '\'');
      case '`':
        return LexRaw(begin);
      default:
        break;
    }
    const bool number_follows = next >= '0' && next <= '9';
    if ((c >= '0' && c <= '9') ||
        ((c == '+' || c == '-' || c == '.') && number_follows)) {
      return LexNumber(begin);
    }
    if (c == '.' || c == '$' || IsWordChar(c)) return LexName(begin, c);
    Fail(fmt::format("unexpected \"{}\"", c), begin, at_);
  }

  void LexName(size_t begin, char first) {
    while (at_ < text_.size() && IsWordChar(text_[at_])) ++at_;
    const std::string word(text_.substr(begin, at_ - begin));
    if (at_ < text_.size() && !IsBlank(text_[at_]) &&
        std::string_view(".,|:()=}").find(text_[at_]) ==
            std::string_view::npos) {
      Fail(fmt::format("unexpected \"{}\" behind \"{}\"", text_[at_], word),
           at_, at_ + 1);
    }
    if (first == '$') return Add(Kind::kVar, begin, word);
    if (first != '.') return Add(Kind::kWord, begin, word);
    if (word.size() == 1) return Add(Kind::kDot, begin, word);
    Add(Kind::kField, begin, word.substr(1));
  }

  void LexNumber(size_t begin) {
    while (at_ < text_.size() &&
           (IsWordChar(text_[at_]) || text_[at_] == '.' ||
            ((text_[at_] == '+' || text_[at_] == '-') &&
             std::string_view("eEpP").find(text_[at_ - 1]) !=
                 std::string_view::npos))) {
      ++at_;
    }
    Add(Kind::kNumber, begin, std::string(text_.substr(begin, at_ - begin)));
  }

  void LexRaw(size_t begin) {
    const size_t end = text_.find('`', at_);
    if (end == std::string_view::npos) {
      Fail("unterminated raw quoted string", begin, text_.size());
    }
    std::string body(text_.substr(at_, end - at_));
    at_ = end + 1;
    Add(Kind::kString, begin, std::move(body));
  }

  void LexQuoted(size_t begin, char quote) {
    std::string body;
    while (true) {
      if (at_ >= text_.size() || text_[at_] == '\n') {
        Fail(quote == '"' ? "unterminated quoted string"
                          : "unterminated character constant",
             begin, at_);
      }
      const char c = text_[at_++];
      if (c == quote) break;
      if (c == '\\') {
        LexEscape(body, quote);
      } else {
        body += c;
      }
    }
    if (quote == '"') return Add(Kind::kString, begin, std::move(body));
    const auto rune = OnlyRune(body);
    if (!rune) Fail("malformed character constant", begin, at_);
    Add(Kind::kChar, begin, std::to_string(*rune));
  }

  // Behind the backslash.
  void LexEscape(std::string& out, char quote) {
    const size_t begin = at_ - 1;
    const char c = at_ < text_.size() ? text_[at_++] : '\0';
    static constexpr std::string_view kLetters = "abfnrtv\\";
    static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\";
    if (c == quote) {
      out += c;
    } else if (const size_t i = kLetters.find(c); i != std::string_view::npos) {
      out += kMeanings[i];
    } else if (c == 'x') {
      out += static_cast<char>(Digits(begin, 2, 16));
    } else if (c == 'u') {
      AppendUtf8(out, Digits(begin, 4, 16));
    } else if (c == 'U') {
      const uint32_t rune = Digits(begin, 8, 16);
      if (rune > 0x10FFFF) Fail("no such character", begin, at_);
      AppendUtf8(out, rune);
    } else if (c >= '0' && c <= '7') {
      --at_;
      out += static_cast<char>(Digits(begin, 3, 8));
    } else {
      Fail("unknown escape sequence", begin, at_);
    }
  }

  uint32_t Digits(size_t begin, int count, int base) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : 99;
      if (digit >= base) Fail("malformed escape sequence", begin, at_ + 1);
      value =
          value * static_cast<uint32_t>(base) + static_cast<uint32_t>(digit);
    }
    return value;
  }

  Source source_;
  std::string_view text_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool blank_ = false;
  bool trim_next_ = false;
};

}  // namespace

Error TemplateError(ErrorCode code, const std::string& reason,
                    const Source& source, size_t begin, size_t end) {
  Error error(code, "template: " + reason);
  error.At(SourceRange::FromOffsets(source, begin, std::max(end, begin + 1)));
  return error;
}

std::vector<Token> Tokens(const Source& source) { return Lexer(source).Run(); }

}  // namespace imgbuild::cli::go_template
