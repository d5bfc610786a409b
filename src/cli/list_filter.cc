#include "cli/list_filter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

// Go's time.ParseDuration, whole seconds.
std::optional<int64_t> ParseDuration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    size_t digits = text.find_first_not_of("0123456789.");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    double number = 0;
    try {
      number = std::stod(std::string(text.substr(0, digits)));
    } catch (const std::exception&) {
      return std::nullopt;
    }
    text.remove_prefix(digits);
    static constexpr std::pair<std::string_view, double> kUnits[] = {
        {"ns", 1e-9}, {"us", 1e-6}, {"ms", 1e-3},
        {"h", 3600},  {"m", 60},    {"s", 1}};
    const auto* unit = std::ranges::find_if(
        kUnits, [&](const auto& u) { return text.starts_with(u.first); });
    if (unit == std::end(kUnits)) return std::nullopt;
    total += number * unit->second;
    text.remove_prefix(unit->first.size());
  }
  if (total > 1e15) return std::nullopt;
  return static_cast<int64_t>(total);
}

// In this machine's time zone, as Docker reads it.
std::optional<int64_t> ParseLocal(const std::string& text) {
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"}) {
    std::tm parts{};
    parts.tm_isdst = -1;
    const char* end = ::strptime(text.c_str(), format, &parts);
    if (end != nullptr && *end == '\0') return std::mktime(&parts);
  }
  return std::nullopt;
}

// "com.example.x=y", or a key alone.
bool HasLabel(const std::map<std::string, std::string>& labels,
              const std::string& wanted) {
  const size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  if (found == labels.end()) return false;
  return equals == std::string::npos ||
         found->second == wanted.substr(equals + 1);
}

}  // namespace

ListFilter::ListFilter(const std::vector<std::string>& words,
                       const std::vector<std::string>& keys) {
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      throw Error(ErrorCode::kFailed,
                  fmt::format("invalid filter {}", Quoted(word)))
          .WithHint("a filter is KEY=VALUE; the keys are " + Join(keys, ", "));
    }
    const std::string key = ToLower(Trim(word.substr(0, equals)));
    if (std::ranges::find(keys, key) == keys.end()) {
      const auto near = Suggest(key, keys);
      throw Error(ErrorCode::kFailed,
                  fmt::format("invalid filter {}", Quoted(key)))
          .WithHint(near ? fmt::format("did you mean {}?", *near)
                         : "the keys are " + Join(keys, ", "));
    }
    values_[key].emplace_back(Trim(word.substr(equals + 1)));
  }
}

const std::vector<std::string>& ListFilter::Values(
    const std::string& key) const {
  static const std::vector<std::string> none;
  const auto found = values_.find(key);
  return found == values_.end() ? none : found->second;
}

std::optional<bool> ListFilter::Bool(const std::string& key) const {
  const std::vector<std::string>& values = Values(key);
  if (values.empty()) return std::nullopt;
  std::optional<bool> result;
  for (const std::string& value : values) {
    const std::string word = ToLower(value);
    const bool yes = word == "true" || word == "1" || word == "t";
    const bool no = word == "false" || word == "0" || word == "f";
    if ((!yes && !no) || (result && *result != yes)) {
      throw Error(ErrorCode::kFailed,
                  fmt::format("invalid filter {}", Quoted(key + "=" + value)))
          .WithHint(key + " is true or false");
    }
    result = yes;
  }
  return result;
}

bool ListFilter::MatchesLabels(
    const std::map<std::string, std::string>& labels) const {
  return std::ranges::all_of(
             Values("label"),
             [&](const std::string& w) { return HasLabel(labels, w); }) &&
         std::ranges::none_of(Values("label!"), [&](const std::string& w) {
           return HasLabel(labels, w);
         });
}

std::optional<int64_t> ListFilter::Until(int64_t now_s) const {
  std::optional<int64_t> earliest;
  for (const std::string& value : Values("until")) {
    const int64_t moment = ParseMoment(value, now_s);
    earliest = std::min(earliest.value_or(moment), moment);
  }
  return earliest;
}

int64_t ParseMoment(const std::string& text, int64_t now_s) {
  if (const auto span = ParseDuration(text)) return now_s - *span;
  if (const auto moment = ParseRfc3339(text)) return *moment;
  if (const auto moment = ParseLocal(text)) return *moment;
  if (const auto seconds = ParseInt(text.substr(0, text.find('.')))) {
    return *seconds;
  }
  throw Error(ErrorCode::kFailed,
              fmt::format("{} is neither a time nor a duration", Quoted(text)))
      .WithHint("24h, 2024-05-01, 2024-05-01T10:00:00Z or seconds since 1970");
}

}  // namespace imgbuild::cli
