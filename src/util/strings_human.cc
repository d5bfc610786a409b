// Sizes, durations and dates: the texts that people read and write.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <limits>

#include "imgbuild/util/strings.h"

namespace imgbuild {
namespace {

constexpr int64_t kSecondsPerDay = 86400;

// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years
// are counted from March, so that the leap day is the last of its year.
int64_t DaysFromCivil(int64_t year, int64_t month, int64_t day) {
  if (month <= 2) --year;
  const int64_t era = (year >= 0 ? year : year - 399) / 400;
  const int64_t year_of_era = year - era * 400;
  const int64_t month_from_march = (month + 9) % 12;
  const int64_t day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
  const int64_t day_of_era =
      year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

struct Civil {
  int64_t year, month, day;
};

Civil CivilFromDays(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const int64_t day_of_era = days - era * 146097;
  const int64_t year_of_era = (day_of_era - day_of_era / 1460 +
                               day_of_era / 36524 - day_of_era / 146096) /
                              365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t month_from_march = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const int64_t month =
      month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  return {year, month, day};
}

int64_t DaysInMonth(int64_t year, int64_t month) {
  constexpr std::array<int64_t, 12> kDays = {31, 28, 31, 30, 31, 30,
                                             31, 31, 30, 31, 30, 31};
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  return month == 2 && leap ? 29 : kDays[static_cast<size_t>(month - 1)];
}

// Takes what it recognises off the front of a text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}
  bool ok() const { return ok_; }
  bool AtEnd() const { return text_.empty(); }

  // Exactly `digits` digits.
  int64_t Number(size_t digits) {
    if (text_.size() < digits) return Fail();
    int64_t value = 0;
    for (size_t i = 0; i < digits; ++i) {
      const char c = text_[i];
      if (c < '0' || c > '9') return Fail();
      value = value * 10 + (c - '0');
    }
    text_.remove_prefix(digits);
    return value;
  }
  bool Take(char c) {
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  void Need(char c) {
    if (!Take(c)) Fail();
  }
  // One or more digits.
  void SkipDigits() {
    size_t n = 0;
    while (n < text_.size() && text_[n] >= '0' && text_[n] <= '9') ++n;
    if (n == 0) Fail();
    text_.remove_prefix(n);
  }

 private:
  int64_t Fail() {
    ok_ = false;
    return 0;
  }
  std::string_view text_;
  bool ok_ = true;
};

// Seconds east of UTC at the front of `in`: "Z" or "+01:30".
int64_t ParseZone(Scanner& in) {
  if (in.Take('Z') || in.Take('z')) return 0;
  const bool west = in.Take('-');
  if (!west) in.Need('+');
  const int64_t hours = in.Number(2);
  in.Need(':');
  const int64_t minutes = in.Number(2);
  if (hours > 23 || minutes > 59) in.Need('\0');  // fails
  const int64_t offset = hours * 3600 + minutes * 60;
  return west ? -offset : offset;
}

}  // namespace

std::optional<uint64_t> ParseByteSize(std::string_view text) {
  size_t digits = 0;
  bool point = false;
  while (digits < text.size() &&
         ((text[digits] >= '0' && text[digits] <= '9') ||
          (text[digits] == '.' && !point && digits > 0))) {
    point = point || text[digits] == '.';
    ++digits;
  }
  const std::string number(text.substr(0, digits));
  if (number.empty() || number.back() == '.') return std::nullopt;
  std::string_view rest = text.substr(digits);
  if (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  std::string unit = ToLower(rest);

  int shift = 0;
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgtpe").find(unit[0]);
    if (power == std::string_view::npos) return std::nullopt;
    shift = 10 * (static_cast<int>(power) + 1);
    unit.erase(0, 1);
    if (unit != "" && unit != "b" && unit != "i" && unit != "ib") {
      return std::nullopt;
    }
  }
  if (!point) {
    const auto value = ParseUint(number);
    constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
    if (!value || *value > (kMax >> shift)) return std::nullopt;
    return *value << shift;
  }
  const double value = std::ldexp(std::stod(number), shift);
  if (value >= std::ldexp(1.0, 63)) return std::nullopt;
  return static_cast<uint64_t>(value);
}

std::string HumanSize(uint64_t bytes) {
  constexpr std::array<const char*, 9> kUnits = {"B",  "kB", "MB", "GB", "TB",
                                                 "PB", "EB", "ZB", "YB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000.0 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return fmt::format("{:.3g}{}", value, kUnits[unit]);
}

std::string HumanDuration(int64_t seconds) {
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return fmt::format("{} seconds", seconds);
  const int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return fmt::format("{} minutes", minutes);
  const int64_t hours = (seconds + 1800) / 3600;  // rounded
  if (hours == 1) return "About an hour";
  if (hours < 48) return fmt::format("{} hours", hours);
  if (hours < 24 * 7 * 2) return fmt::format("{} days", hours / 24);
  if (hours < 24 * 30 * 2) return fmt::format("{} weeks", hours / 24 / 7);
  if (hours < 24 * 365 * 2) return fmt::format("{} months", hours / 24 / 30);
  return fmt::format("{} years", seconds / 3600 / 24 / 365);
}

std::string FormatRfc3339(int64_t seconds) {
  int64_t days = seconds / kSecondsPerDay;
  int64_t rest = seconds % kSecondsPerDay;
  if (rest < 0) {
    rest += kSecondsPerDay;
    --days;
  }
  const Civil date = CivilFromDays(days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", date.year,
                     date.month, date.day, rest / 3600, rest / 60 % 60,
                     rest % 60);
}

std::optional<int64_t> ParseRfc3339(std::string_view text) {
  Scanner in(text);
  const int64_t year = in.Number(4);
  in.Need('-');
  const int64_t month = in.Number(2);
  in.Need('-');
  const int64_t day = in.Number(2);
  if (!in.Take('T')) in.Need('t');
  const int64_t hour = in.Number(2);
  in.Need(':');
  const int64_t minute = in.Number(2);
  in.Need(':');
  const int64_t second = in.Number(2);
  if (in.Take('.')) in.SkipDigits();
  const int64_t offset = ParseZone(in);
  if (!in.ok() || !in.AtEnd()) return std::nullopt;
  if (month < 1 || month > 12 || day < 1 || day > DaysInMonth(year, month) ||
      hour > 23 || minute > 59 || second > 59) {
    return std::nullopt;
  }
  return DaysFromCivil(year, month, day) * kSecondsPerDay + hour * 3600 +
         minute * 60 + second - offset;
}

}  // namespace imgbuild
