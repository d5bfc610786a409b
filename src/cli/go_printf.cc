#include "cli/go_printf.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "imgbuild/util/strings.h"

namespace imgbuild::cli::go_template {
namespace {

// Shortest digits that give the number back, as strconv's 'g' with -1.
std::string ShortestFloat(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value,
                                 std::chars_format::scientific);
  std::string shown(text, end.ptr);
  const int exponent = std::atoi(shown.c_str() + shown.find('e') + 1);
  if (exponent < -4 || exponent >= 6) return shown;
  const auto fixed =
      std::to_chars(text, text + sizeof(text), value, std::chars_format::fixed);
  return {text, fixed.ptr};
}

struct Verb {
  char letter = 'v';
  bool minus = false;
  bool plus = false;
  bool sharp = false;
  bool space = false;
  bool zero = false;
  std::optional<int> width;
  std::optional<int> precision;
};

size_t RuneCount(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string FirstRunes(std::string_view text, int count) {
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((text[at] & 0xC0) != 0x80 && count-- == 0) break;
  }
  return std::string(text.substr(0, at));
}

std::string Pad(const Verb& verb, std::string text, bool number) {
  const size_t have = RuneCount(text);
  const auto want = static_cast<size_t>(verb.width.value_or(0));
  if (have >= want) return text;
  const size_t fill = want - have;
  if (verb.minus) return text + std::string(fill, ' ');
  if (!verb.zero) return std::string(fill, ' ') + text;
  const size_t sign =
      number && !text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0;
  return text.substr(0, sign) + std::string(fill, '0') + text.substr(sign);
}

std::string Hex(std::string_view bytes, bool upper) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += upper ? fmt::format("{:02X}", byte) : fmt::format("{:02x}", byte);
  }
  return out;
}

std::string Utf8(int64_t rune) {
  if (rune < 0 || rune > 0x10FFFF) rune = 0xFFFD;
  const auto r = static_cast<uint32_t>(rune);
  const auto tail = [&](int shift) {
    return static_cast<char>(0x80 | (r >> shift & 0x3F));
  };
  if (r < 0x80) return {static_cast<char>(r)};
  if (r < 0x800) return {static_cast<char>(0xC0 | r >> 6), tail(0)};
  if (r < 0x10000) {
    return {static_cast<char>(0xE0 | r >> 12), tail(6), tail(0)};
  }
  return {static_cast<char>(0xF0 | r >> 18), tail(12), tail(6), tail(0)};
}

std::string FormatValue(const Verb& verb, const Value& value);

std::string BadVerb(const Verb& verb, const Value& value) {
  if (value.IsNull()) return fmt::format("%!{}(<nil>)", verb.letter);
  return fmt::format("%!{}({}={})", verb.letter, TypeName(value), Print(value));
}

std::string FormatString(const Verb& verb, const Value& value) {
  const std::string& whole = value.json->get_ref<const std::string&>();
  const std::string text =
      verb.precision ? FirstRunes(whole, *verb.precision) : whole;
  switch (verb.letter) {
    case 'v':
    case 's':
      return Pad(verb, verb.letter == 'v' && verb.sharp ? Quoted(text) : text,
                 false);
    case 'q':
      return Pad(verb, Quoted(text), false);
    case 'x':
    case 'X':
      return Pad(verb, Hex(text, verb.letter == 'X'), false);
    default:
      return BadVerb(verb, value);
  }
}

std::string Digits(const Verb& verb, uint64_t number) {
  switch (verb.letter) {
    case 'b':
      return fmt::format("{:b}", number);
    case 'o':
      return (verb.sharp ? "0" : "") + fmt::format("{:o}", number);
    case 'O':
      return fmt::format("0o{:o}", number);
    case 'x':
      return (verb.sharp ? "0x" : "") + fmt::format("{:x}", number);
    case 'X':
      return (verb.sharp ? "0X" : "") + fmt::format("{:X}", number);
    default:
      return fmt::format("{}", number);
  }
}

std::string FormatInteger(const Verb& verb, const Value& value) {
  const bool negative = value.json->is_number_integer() &&
                        !value.json->is_number_unsigned() &&
                        value.json->get<int64_t>() < 0;
  const uint64_t magnitude =
      negative ? 0 - static_cast<uint64_t>(value.json->get<int64_t>())
               : value.json->get<uint64_t>();
  switch (verb.letter) {
    case 'v':
    case 'd':
    case 'b':
    case 'o':
    case 'O':
    case 'x':
    case 'X': {
      const std::string sign = negative     ? "-"
                               : verb.plus  ? "+"
                               : verb.space ? " "
                                            : "";
      return Pad(verb, sign + Digits(verb, magnitude), true);
    }
    case 'c':
      return Pad(verb, Utf8(value.json->get<int64_t>()), false);
    case 'q':
      return Pad(verb, "'" + Utf8(value.json->get<int64_t>()) + "'", false);
    case 'U':
      return Pad(verb, fmt::format("U+{:04X}", magnitude), false);
    default:
      return BadVerb(verb, value);
  }
}

std::string FormatFloat(const Verb& verb, const Value& value) {
  const double number = value.json->get<double>();
  const int precision = std::min(verb.precision.value_or(6), 300);
  const std::string sign = verb.plus && number >= 0    ? "+"
                           : verb.space && number >= 0 ? " "
                                                       : "";
  switch (verb.letter) {
    case 'v':
    case 'g':
    case 'G':
      return Pad(
          verb,
          sign + (verb.precision ? fmt::format("{:.{}g}", number, precision)
                                 : ShortestFloat(number)),
          true);
    case 'f':
    case 'F':
      return Pad(verb, sign + fmt::format("{:.{}f}", number, precision), true);
    case 'e':
      return Pad(verb, sign + fmt::format("{:.{}e}", number, precision), true);
    case 'E':
      return Pad(verb, sign + fmt::format("{:.{}E}", number, precision), true);
    default:
      return BadVerb(verb, value);
  }
}

// time.Duration: "1h30m0s", "1.5s", "100ms".
std::string Duration(int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  const bool negative = nanoseconds < 0;
  const uint64_t whole = negative ? 0 - static_cast<uint64_t>(nanoseconds)
                                  : static_cast<uint64_t>(nanoseconds);
  const auto number = [](double value) {
    std::string text = fmt::format("{:.9f}", value);
    while (text.ends_with('0')) text.pop_back();
    if (text.ends_with('.')) text.pop_back();
    return text;
  };
  constexpr uint64_t kSecond = 1'000'000'000;
  std::string out;
  if (whole < 1000) {
    out = fmt::format("{}ns", whole);
  } else if (whole < 1'000'000) {
    out = number(static_cast<double>(whole) / 1e3) + "µs";
  } else if (whole < kSecond) {
    out = number(static_cast<double>(whole) / 1e6) + "ms";
  } else {
    const uint64_t hours = whole / (3600 * kSecond);
    const uint64_t minutes = whole / (60 * kSecond) % 60;
    if (hours > 0) out += fmt::format("{}h", hours);
    if (hours > 0 || minutes > 0) out += fmt::format("{}m", minutes);
    out += number(static_cast<double>(whole % (60 * kSecond)) / 1e9) + "s";
  }
  return (negative ? "-" : "") + out;
}

std::string FormatMany(const Verb& verb, const Value& value) {
  std::string out;
  if (value.json->is_array()) {
    out = "[";
    for (const Json& element : *value.json) {
      if (out.size() > 1) out += ' ';
      out += FormatValue(verb, {&element});
    }
  } else {
    // Go shows a struct without fields as {}: so are the values of Volumes.
    if (value.json->empty() && !value.map) return "{}";
    out = "map[";
    for (const std::string& key : SortedKeys(*value.json)) {
      if (out.size() > 4) out += ' ';
      const Json name = key;
      out += FormatValue(verb, {&name}) + ":" +
             FormatValue(verb, {&value.json->at(key)});
    }
  }
  return out + "]";
}

std::string FormatValue(const Verb& verb, const Value& value) {
  if (value.IsNull()) {
    if (value.list) return "[]";
    if (value.map) return "map[]";
    return verb.letter == 'v' ? Pad(verb, "<nil>", false)
                              : BadVerb(verb, value);
  }
  const Json& json = *value.json;
  if (json.is_structured()) return FormatMany(verb, value);
  if (json.is_string()) return FormatString(verb, value);
  if (json.is_number_float()) return FormatFloat(verb, value);
  if (value.duration && (verb.letter == 'v' || verb.letter == 's')) {
    return Pad(verb, Duration(json.get<int64_t>()), false);
  }
  if (json.is_number()) return FormatInteger(verb, value);
  if (verb.letter != 'v' && verb.letter != 't') return BadVerb(verb, value);
  return Pad(verb, json.get<bool>() ? "true" : "false", false);
}

// One run over a format.
class Formatter {
 public:
  Formatter(std::string_view format, const std::vector<Value>& values)
      : format_(format), values_(values) {}

  std::string Run() {
    while (at_ < format_.size()) {
      const size_t percent = std::min(format_.find('%', at_), format_.size());
      out_ += format_.substr(at_, percent - at_);
      at_ = percent + 1;
      if (percent < format_.size()) OneVerb();
    }
    if (!reordered_ && next_ < values_.size()) Extra();
    return std::move(out_);
  }

 private:
  char Peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

  void Extra() {
    std::string rest;
    for (; next_ < values_.size(); ++next_) {
      if (!rest.empty()) rest += ", ";
      const Value& value = values_[next_];
      rest += value.IsNull()
                  ? "<nil>"
                  : fmt::format("{}={}", TypeName(value), Print(value));
    }
    out_ += "%!(EXTRA " + rest + ")";
  }

  void Flags(Verb& verb) {
    for (;; ++at_) {
      switch (Peek()) {
        case '-':
          verb.minus = true;
          verb.zero = false;
          break;
        case '+':
          verb.plus = true;
          break;
        case '#':
          verb.sharp = true;
          break;
        case ' ':
          verb.space = true;
          break;
        case '0':
          verb.zero = !verb.minus;
          break;
        default:
          return;
      }
    }
  }

  // `12` or `*`; nullopt when there is neither. A negative `*` is kept.
  std::optional<int> Number() {
    if (Peek() == '*') {
      ++at_;
      if (next_ < values_.size() && values_[next_].json != nullptr &&
          values_[next_].json->is_number_integer()) {
        const auto n = values_[next_++].json->get<int64_t>();
        return static_cast<int>(
            std::clamp<int64_t>(n, -kMaxPrintfWidth, kMaxPrintfWidth));
      }
      ++next_;
      out_ += "%!(BADWIDTH)";
      return std::nullopt;
    }
    if (Peek() < '0' || Peek() > '9') return std::nullopt;
    int n = 0;
    for (; Peek() >= '0' && Peek() <= '9'; ++at_) {
      n = std::min(n * 10 + (Peek() - '0'), kMaxPrintfWidth);
    }
    return n;
  }

  // `[2]`: which value is next.
  void Index() {
    if (Peek() != '[') return;
    const size_t close = format_.find(']', at_);
    if (close == std::string_view::npos) return;
    const auto n = ParseUint(format_.substr(at_ + 1, close - at_ - 1));
    at_ = close + 1;
    reordered_ = true;
    bad_index_ = !n || *n == 0 || *n > values_.size();
    if (!bad_index_) next_ = *n - 1;
  }

  void OneVerb() {
    Verb verb;
    bad_index_ = false;
    Flags(verb);
    Index();
    verb.width = Number();
    if (verb.width && *verb.width < 0) {
      verb.minus = true;
      verb.zero = false;
      verb.width = -*verb.width;
    }
    if (Peek() == '.') {
      ++at_;
      Index();
      verb.precision = std::max(0, Number().value_or(0));
    }
    Index();
    if (at_ >= format_.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    verb.letter = format_[at_++];
    if (verb.letter == '%') {
      out_ += '%';
    } else if (bad_index_) {
      out_ += fmt::format("%!{}(BADINDEX)", verb.letter);
    } else if (next_ >= values_.size()) {
      out_ += fmt::format("%!{}(MISSING)", verb.letter);
    } else if (verb.letter == 'T') {
      out_ += Pad(verb, TypeName(values_[next_++]), false);
    } else {
      out_ += FormatValue(verb, values_[next_++]);
    }
  }

  std::string_view format_;
  const std::vector<Value>& values_;
  size_t at_ = 0;
  size_t next_ = 0;
  bool reordered_ = false;
  bool bad_index_ = false;
  std::string out_;
};

}  // namespace

std::string Print(const Value& value) { return FormatValue({}, value); }

std::string TypeName(const Value& value) {
  if (value.IsNull()) return "<nil>";
  const Json& json = *value.json;
  if (json.is_string()) return "string";
  if (json.is_boolean()) return "bool";
  if (json.is_number_float()) return "float64";
  if (json.is_number()) return "int";
  return json.is_array() ? "[]interface {}" : "map[string]interface {}";
}

std::vector<std::string> SortedKeys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  std::ranges::sort(keys);
  return keys;
}

std::string Printf(std::string_view format, const std::vector<Value>& values) {
  return Formatter(format, values).Run();
}

}  // namespace imgbuild::cli::go_template
