#include "exec/yaml_reader.h"

#include <fmt/format.h>

#include <charconv>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 32;

struct Line {
  size_t number = 0;
  size_t indent = 0;
  std::string_view text;  // without indent, comment and trailing blanks
};

[[noreturn]] void Fail(size_t line, const std::string& why) {
  throw Error(ErrorCode::kHost, fmt::format("line {}: {}", line, why));
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

// The end of what stands before a comment; quotes are respected.
size_t ContentEnd(std::string_view text) {
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote != 0) {
      if (c == '\\' && quote == '"') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if ((c == '"' || c == '\'') &&
               (i == 0 || IsBlank(text[i - 1]) || text[i - 1] == '[' ||
                text[i - 1] == '{' || text[i - 1] == ',')) {
      quote = c;
    } else if (c == '#' && (i == 0 || IsBlank(text[i - 1]))) {
      return i;
    }
  }
  return text.size();
}

std::vector<Line> SplitLines(std::string_view text) {
  std::vector<Line> out;
  size_t number = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    const size_t indent = std::min(line.find_first_not_of(' '), line.size());
    line.remove_prefix(indent);
    const bool tab = line.starts_with('\t');
    line = Trim(line.substr(0, ContentEnd(line)));
    if (line.empty()) continue;
    if (tab) Fail(number, "a tab as indentation");
    if (indent == 0 && (line == "---" || line == "...")) {
      if (out.empty() && line == "---") continue;
      if (line == "...") break;
      Fail(number, "more than one document");
    }
    out.push_back({number, indent, line});
  }
  return out;
}

Json PlainScalar(std::string_view text) {
  if (text == "~" || EqualsIgnoreCase(text, "null")) return nullptr;
  if (EqualsIgnoreCase(text, "true")) return true;
  if (EqualsIgnoreCase(text, "false")) return false;
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.starts_with("0o")) {
    base = 8;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0') {
    base = 8;
  }
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(
      digits.data(), digits.data() + digits.size(), value, base);
  if (digits.empty() || error != std::errc() ||
      end != digits.data() + digits.size() || value > INT64_MAX) {
    return std::string(text);
  }
  const auto number = static_cast<int64_t>(value);
  return negative ? -number : number;
}

// Values within one line.
class Flow {
 public:
  Flow(std::string_view text, size_t line) : text_(text), line_(line) {}

  // A whole value; nothing may follow it.
  Json Whole(int depth) {
    Json value = Value(depth, "");
    Skip();
    if (at_ != text_.size()) Fail(line_, "text behind a value");
    return value;
  }

  // A quoted text at the front; false when there is none.
  bool Quoted(std::string* out) {
    const char quote = Peek();
    if (quote != '"' && quote != '\'') return false;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '\\' && quote == '"') {
        Escape(out);
      } else if (c != quote) {
        *out += c;
      } else if (quote == '\'' && at_ + 1 < text_.size() &&
                 text_[at_ + 1] == '\'') {
        *out += '\'';
        ++at_;
      } else {
        ++at_;
        return true;
      }
    }
    Fail(line_, "a quote has no end");
  }
  size_t at() const { return at_; }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void Skip() {
    while (IsBlank(Peek())) ++at_;
  }

  void Escape(std::string* out) {
    static constexpr std::string_view kFrom = "0abtnvfre\"/\\ ";
    static constexpr std::string_view kTo("\0\a\b\t\n\v\f\r\x1b\"/\\ ", 13);
    if (++at_ >= text_.size()) Fail(line_, "a quote has no end");
    if (const size_t i = kFrom.find(text_[at_]); i != std::string_view::npos) {
      *out += kTo[i];
      return;
    }
    const size_t digits = text_[at_] == 'x' ? 2 : text_[at_] == 'u' ? 4 : 0;
    const std::string_view hex = text_.substr(at_ + 1, digits);
    uint32_t value = 0;
    const auto [end, error] =
        std::from_chars(hex.data(), hex.data() + hex.size(), value, 16);
    if (digits == 0 || error != std::errc() || hex.size() != digits ||
        end != hex.data() + hex.size() || value > 0x7f) {
      Fail(line_, "an escape that is not supported");
    }
    *out += static_cast<char>(value);
    at_ += digits;
  }

  // `stops`: what ends a plain scalar.
  Json Value(int depth, std::string_view stops) {
    if (depth > kMaxDepth) Fail(line_, "nested too deeply");
    Skip();
    std::string quoted;
    if (Quoted(&quoted)) return quoted;
    if (Peek() == '[') return Sequence(depth);
    if (Peek() == '{') return Mapping(depth);
    const size_t end =
        stops.empty() ? text_.size()
                      : std::min(text_.find_first_of(stops, at_), text_.size());
    const std::string_view plain = Trim(text_.substr(at_, end - at_));
    at_ = end;
    if (!plain.empty() &&
        std::string_view("&*!|>%@`").find(plain[0]) != std::string_view::npos) {
      Fail(line_,
           fmt::format("a value that begins with \"{}\" is not supported",
                       plain[0]));
    }
    return plain.empty() ? Json(nullptr) : PlainScalar(plain);
  }

  // Behind an element: true when another one follows.
  bool More(char close) {
    Skip();
    if (Peek() == ',') {
      ++at_;
      Skip();
      if (Peek() != close) return true;
    }
    if (Peek() != close) Fail(line_, fmt::format("\"{}\" is missing", close));
    ++at_;
    return false;
  }

  Json Sequence(int depth) {
    Json out = Json::array();
    ++at_;
    Skip();
    if (Peek() == ']') {
      ++at_;
      return out;
    }
    do {
      out.push_back(Value(depth + 1, ",]"));
    } while (More(']'));
    return out;
  }

  Json Mapping(int depth) {
    Json out = Json::object();
    ++at_;
    Skip();
    if (Peek() == '}') {
      ++at_;
      return out;
    }
    do {
      Skip();
      std::string key;
      if (!Quoted(&key)) {
        const size_t colon = text_.find(':', at_);
        if (colon == std::string_view::npos) Fail(line_, "\":\" is missing");
        key = Trim(text_.substr(at_, colon - at_));
        at_ = colon;
      }
      Skip();
      if (Peek() != ':') Fail(line_, "\":\" is missing");
      ++at_;
      if (out.contains(key)) Fail(line_, fmt::format("\"{}\" twice", key));
      out[key] = Value(depth + 1, ",}");
    } while (More('}'));
    return out;
  }

  std::string_view text_;
  const size_t line_;
  size_t at_ = 0;
};

class Blocks {
 public:
  explicit Blocks(std::string_view text) : lines_(SplitLines(text)) {}

  Json Document() {
    if (lines_.empty()) return nullptr;
    Json value = Block(lines_[0].indent, 0);
    if (at_ != lines_.size()) Fail(lines_[at_].number, "wrong indentation");
    return value;
  }

 private:
  static bool IsItem(std::string_view text) {
    return text == "-" || text.starts_with("- ");
  }

  // Where the ':' of "key: value" is; npos when the line is none. `key` gets
  // what stands before it.
  static size_t KeyEnd(const Line& line, std::string* key) {
    Flow flow(line.text, line.number);
    if (flow.Quoted(key)) {
      const size_t colon = line.text.find_first_not_of(' ', flow.at());
      return colon != std::string_view::npos && line.text[colon] == ':'
                 ? colon
                 : std::string_view::npos;
    }
    for (size_t i = 0; i < line.text.size(); ++i) {
      if (line.text[i] != ':') continue;
      if (i + 1 == line.text.size() || IsBlank(line.text[i + 1])) {
        *key = Trim(line.text.substr(0, i));
        return i;
      }
    }
    return std::string_view::npos;
  }

  Json Block(size_t indent, int depth) {
    if (depth > kMaxDepth) Fail(lines_[at_].number, "nested too deeply");
    const Line& line = lines_[at_];
    if (IsItem(line.text)) return Sequence(indent, depth);
    std::string key;
    const char first = line.text[0];
    if (first != '[' && first != '{' &&
        KeyEnd(line, &key) != std::string_view::npos) {
      return Mapping(indent, depth);
    }
    ++at_;
    return Flow(line.text, line.number).Whole(depth);
  }

  Json Sequence(size_t indent, int depth) {
    Json out = Json::array();
    while (at_ < lines_.size() && lines_[at_].indent == indent &&
           IsItem(lines_[at_].text)) {
      Line& line = lines_[at_];
      const size_t skip =
          std::min(line.text.find_first_not_of(' ', 1), line.text.size());
      if (skip == line.text.size()) {
        ++at_;
        out.push_back(Below(indent, false, depth));
        continue;
      }
      // What stands behind "- " is a block of its own, further in.
      line.text.remove_prefix(skip);
      line.indent += skip;
      out.push_back(Block(line.indent, depth + 1));
    }
    return out;
  }

  Json Mapping(size_t indent, int depth) {
    Json out = Json::object();
    while (at_ < lines_.size() && lines_[at_].indent == indent) {
      const Line& line = lines_[at_];
      std::string key;
      const size_t colon = KeyEnd(line, &key);
      if (colon == std::string_view::npos || IsItem(line.text)) {
        Fail(line.number, "\"key: value\" is expected");
      }
      if (key.empty() || key[0] == '?' || key[0] == '&' || key[0] == '!') {
        Fail(line.number, "a key that is not supported");
      }
      if (out.contains(key)) {
        Fail(line.number, fmt::format("\"{}\" twice", key));
      }
      const std::string_view rest = Trim(line.text.substr(colon + 1));
      ++at_;
      out[key] = rest.empty() ? Below(indent, true, depth)
                              : Flow(rest, line.number).Whole(depth + 1);
    }
    return out;
  }

  // The block that belongs to the line before; null when there is none. The
  // items of a key may stand at its own indentation.
  Json Below(size_t indent, bool of_key, int depth) {
    if (at_ == lines_.size()) return nullptr;
    const Line& next = lines_[at_];
    if (next.indent > indent ||
        (of_key && next.indent == indent && IsItem(next.text))) {
      return Block(next.indent, depth + 1);
    }
    return nullptr;
  }

  std::vector<Line> lines_;
  size_t at_ = 0;
};

}  // namespace

nlohmann::json ParseYaml(std::string_view text) {
  return Blocks(text).Document();
}

}  // namespace imgbuild::exec
