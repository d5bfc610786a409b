#include "registry/http_headers.h"

#include <algorithm>
#include <array>

#include "imgbuild/util/strings.h"

namespace imgbuild::registry {
namespace {

// A header of this many challenges or bytes is an attack, not a registry.
constexpr size_t kMaxChallenges = 16;
constexpr size_t kMaxParams = 32;

bool IsTokenChar(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         (c >= '0' && c <= '9') ||
         std::string_view("!#$%&'*+-.^_`|~/").find(c) != std::string_view::npos;
}

// A cursor over one header value.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  void Advance() { ++at_; }
  void SkipSpace() {
    while (!done() && (peek() == ' ' || peek() == '\t')) ++at_;
  }
  void SkipSpaceAndCommas() {
    while (!done() && (peek() == ' ' || peek() == '\t' || peek() == ',')) {
      ++at_;
    }
  }
  std::string_view Token() {
    const size_t start = at_;
    while (!done() && IsTokenChar(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }
  // An unquoted value; some servers do not quote URLs.
  std::string_view Bare() {
    const size_t start = at_;
    while (!done() && peek() != ',' && peek() != ' ' && peek() != '\t') ++at_;
    return text_.substr(start, at_ - start);
  }
  // After the opening quote has been seen at the cursor.
  std::string QuotedString() {
    std::string value;
    Advance();
    while (!done() && peek() != '"') {
      if (peek() == '\\' && at_ + 1 < text_.size()) Advance();
      value += peek();
      Advance();
    }
    if (!done()) Advance();
    return value;
  }
  size_t position() const { return at_; }
  void Rewind(size_t position) { at_ = position; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

// key = value at the cursor; false (cursor unmoved) when it is something else.
bool ReadParam(Scanner& in, Challenge* challenge) {
  const size_t start = in.position();
  const std::string_view key = in.Token();
  in.SkipSpace();
  if (key.empty() || in.peek() != '=') {
    in.Rewind(start);
    return false;
  }
  in.Advance();
  in.SkipSpace();
  std::string value =
      in.peek() == '"' ? in.QuotedString() : std::string(in.Bare());
  if (challenge->params.size() < kMaxParams) {
    challenge->params.emplace(ToLower(key), std::move(value));
  }
  return true;
}

void ParseOneHeader(std::string_view value, std::vector<Challenge>* out) {
  Scanner in(value);
  for (;;) {
    in.SkipSpaceAndCommas();
    if (in.done() || out->size() >= kMaxChallenges) return;
    Challenge challenge;
    challenge.scheme = ToLower(in.Token());
    if (challenge.scheme.empty()) {
      in.Advance();  // a stray byte
      continue;
    }
    for (;;) {
      in.SkipSpaceAndCommas();
      if (in.done() || !ReadParam(in, &challenge)) break;
    }
    // token68 ("Negotiate abc==") leaves '=' signs behind.
    while (!in.done() && in.peek() == '=') in.Advance();
    out->push_back(std::move(challenge));
  }
}

std::optional<int> MonthNumber(std::string_view name) {
  static constexpr std::array<std::string_view, 12> kMonths = {
      "Jan", "Feb", "Mar", "Apr", "May", "Jun",
      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  for (size_t i = 0; i < kMonths.size(); ++i) {
    if (kMonths[i] == name) return static_cast<int>(i) + 1;
  }
  return std::nullopt;
}

std::string TwoDigits(int number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

}  // namespace

std::optional<std::string> FindHeader(const Headers& headers,
                                      std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoreCase(key, name)) return value;
  }
  return std::nullopt;
}

std::vector<Challenge> ParseChallenges(const Headers& headers) {
  std::vector<Challenge> out;
  for (const auto& [key, value] : headers) {
    if (EqualsIgnoreCase(key, "WWW-Authenticate")) ParseOneHeader(value, &out);
  }
  return out;
}

std::optional<int64_t> ParseHttpDate(std::string_view text) {
  // IMF-fixdate only: the two older forms have not been sent for decades.
  std::vector<std::string> words = Split(Trim(text), ' ');
  if (words.size() != 6 || words[5] != "GMT") return std::nullopt;
  const auto day = ParseUint(words[1]);
  const auto month = MonthNumber(words[2]);
  if (!day || *day == 0 || *day > 31 || !month || words[3].size() != 4 ||
      !ParseUint(words[3])) {
    return std::nullopt;
  }
  return ParseRfc3339(words[3] + "-" + TwoDigits(*month) + "-" +
                      TwoDigits(static_cast<int>(*day)) + "T" + words[4] + "Z");
}

std::optional<int64_t> ParseRetryAfter(const Headers& headers, int64_t now) {
  const auto value = FindHeader(headers, "Retry-After");
  if (!value) return std::nullopt;
  if (const auto seconds = ParseUint(Trim(*value))) {
    return static_cast<int64_t>(std::min<uint64_t>(*seconds, INT32_MAX));
  }
  const auto date = ParseHttpDate(*value);
  if (!date) return std::nullopt;
  return std::max<int64_t>(0, *date - now);
}

std::optional<std::string> ParseNextLink(const Headers& headers) {
  for (const auto& [key, value] : headers) {
    if (!EqualsIgnoreCase(key, "Link")) continue;
    std::string_view rest = value;
    for (;;) {
      const size_t open = rest.find('<');
      if (open == std::string_view::npos) break;
      const size_t close = rest.find('>', open);
      if (close == std::string_view::npos) break;
      const std::string_view target = rest.substr(open + 1, close - open - 1);
      rest.remove_prefix(close + 1);
      const std::string params = ToLower(rest.substr(0, rest.find('<')));
      if (params.find("rel=\"next\"") != std::string::npos ||
          params.find("rel=next") != std::string::npos) {
        return std::string(target);
      }
    }
  }
  return std::nullopt;
}

std::optional<ContentRange> ParseContentRange(std::string_view text) {
  text = Trim(text);
  if (!EqualsIgnoreCase(text.substr(0, 6), "bytes ")) return std::nullopt;
  text.remove_prefix(6);
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos ||
      dash > slash) {
    return std::nullopt;
  }
  const auto first = ParseUint(text.substr(0, dash));
  const auto last = ParseUint(text.substr(dash + 1, slash - dash - 1));
  if (!first || !last || *last < *first) return std::nullopt;
  ContentRange range{*first, *last, std::nullopt};
  const std::string_view total = text.substr(slash + 1);
  if (total != "*") {
    range.total = ParseUint(total);
    if (!range.total || *range.total <= *last) return std::nullopt;
  }
  return range;
}

std::optional<uint64_t> ParseUploadRange(std::string_view text) {
  text = Trim(text);
  if (EqualsIgnoreCase(text.substr(0, 6), "bytes=")) text.remove_prefix(6);
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = ParseUint(text.substr(0, dash));
  const auto last = ParseUint(text.substr(dash + 1));
  if (!first || *first != 0 || !last) return std::nullopt;
  return *last == 0 ? 0 : *last + 1;
}

std::string MediaTypeOf(const Headers& headers) {
  const auto value = FindHeader(headers, "Content-Type");
  if (!value) return "";
  return ToLower(Trim(std::string_view(*value).substr(0, value->find(';'))));
}

std::optional<uint64_t> ContentLength(const Headers& headers) {
  const auto value = FindHeader(headers, "Content-Length");
  if (!value) return std::nullopt;
  return ParseUint(Trim(*value));
}

std::vector<std::string> ParseWarnings(const Headers& headers) {
  std::vector<std::string> out;
  for (const auto& [key, value] : headers) {
    if (!EqualsIgnoreCase(key, "Warning")) continue;
    const std::string_view text = Trim(value);
    const size_t quote = text.find('"');
    if (!text.starts_with("299 ") || quote == std::string_view::npos) continue;
    Scanner in(text.substr(quote));
    out.push_back(in.QuotedString());
  }
  return out;
}

std::string Printable(std::string_view text, size_t cap) {
  std::string out;
  for (const char c : text.substr(0, cap)) {
    const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    out += control ? ' ' : c;
  }
  if (text.size() > cap) out += "...";
  return out;
}

}  // namespace imgbuild::registry
