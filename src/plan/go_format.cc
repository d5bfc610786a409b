#include "plan/go_format.h"

#include <fmt/format.h>

#include <cstring>

#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

// Length of a valid UTF-8 sequence at the start of `text`, 0 if none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char c = byte(0);
  const size_t n = c < 0x80   ? 1
                   : c < 0xC2 ? 0
                   : c < 0xE0 ? 2
                   : c < 0xF0 ? 3
                   : c < 0xF5 ? 4
                              : 0;
  if (n == 0 || n > text.size()) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return n;
}

std::string Rune(int64_t value) {
  switch (value) {
    case '\a':
      return "'\\a'";
    case '\b':
      return "'\\b'";
    case '\f':
      return "'\\f'";
    case '\n':
      return "'\\n'";
    case '\r':
      return "'\\r'";
    case '\t':
      return "'\\t'";
    case '\v':
      return "'\\v'";
    case '\'':
      return "'\\''";
    case '\\':
      return "'\\\\'";
    default:
      break;
  }
  if (value >= 0x20 && value < 0x7f) {
    return fmt::format("'{}'", static_cast<char>(value));
  }
  if (value < 0x80) return fmt::format("'\\x{:02x}'", value);
  return fmt::format("'\\u{:04x}'", value);
}

}  // namespace

std::string GoQuote(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    static constexpr char kFrom[] = "\a\b\f\n\r\t\v\\\"";
    static constexpr char kTo[] = "abfnrtv\\\"";
    const char* known = c == 0 ? nullptr : std::strchr(kFrom, c);
    if (known != nullptr) {
      out += '\\';
      out += kTo[known - kFrom];
      ++i;
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\x{:02x}", c);
      ++i;
    } else if (const size_t n = Utf8Length(text.substr(i)); n > 0) {
      out += text.substr(i, n);
      i += n;
    } else {
      out += fmt::format("\\x{:02x}", c);
      ++i;
    }
  }
  return out + "\"";
}

std::string GoQuoteList(const std::vector<std::string>& list) {
  std::vector<std::string> quoted;
  quoted.reserve(list.size());
  for (const std::string& text : list) quoted.push_back(GoQuote(text));
  return "[" + Join(quoted, " ") + "]";
}

std::string GoList(const std::vector<std::string>& list) {
  return "[" + Join(list, " ") + "]";
}

std::string GoDuration(int64_t nanoseconds) {
  if (nanoseconds == 0) return "0s";
  std::string sign;
  auto left = static_cast<uint64_t>(nanoseconds);
  if (nanoseconds < 0) {
    sign = "-";
    left = 0 - left;
  }
  const auto fraction = [](uint64_t value, uint64_t unit) {
    std::string digits = fmt::format("{}", value / unit);
    uint64_t rest = value % unit;
    if (rest == 0) return digits;
    std::string tail;
    for (uint64_t u = unit / 10; rest != 0; u /= 10) {
      tail += static_cast<char>('0' + rest / u);
      rest %= u;
    }
    return digits + "." + tail;
  };
  if (left < 1000) return fmt::format("{}{}ns", sign, left);
  if (left < 1000000) return sign + fraction(left, 1000) + "µs";
  if (left < 1000000000) return sign + fraction(left, 1000000) + "ms";
  constexpr uint64_t kMinute = 60ull * 1000000000;
  std::string out = sign;
  if (left >= 60 * kMinute) out += fmt::format("{}h", left / (60 * kMinute));
  if (left >= kMinute) out += fmt::format("{}m", left / kMinute % 60);
  return out + fraction(left % kMinute, 1000000000) + "s";
}

std::string GoQuoteHealthcheck(const oci::Healthcheck& check) {
  const auto duration = [](int64_t ns) { return GoQuote(GoDuration(ns)); };
  return fmt::format("&{{{} {} {} {} {} {}}}", GoQuoteList(check.test),
                     duration(check.interval_ns), duration(check.timeout_ns),
                     duration(check.start_period_ns),
                     duration(check.start_interval_ns), Rune(check.retries));
}

}  // namespace imgbuild::plan
