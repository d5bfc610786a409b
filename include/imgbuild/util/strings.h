// Small text helpers.
#ifndef IMGBUILD_UTIL_STRINGS_H_
#define IMGBUILD_UTIL_STRINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild {

// Every part, empty ones too: Split("a,,b", ',') is {"a", "", "b"}.
std::vector<std::string> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& parts,
                 std::string_view separator);
std::string_view Trim(std::string_view text);  // ASCII white space
std::string ToLower(std::string_view text);    // ASCII
bool EqualsIgnoreCase(std::string_view a, std::string_view b);  // ASCII

// Whole text as a decimal number; nullopt on anything else or on overflow.
std::optional<uint64_t> ParseUint(std::string_view text);
std::optional<int64_t> ParseInt(std::string_view text);
// "512", "64k", "1m", "2GiB", "0.5g": bytes, as Docker's go-units reads RAM
// sizes (powers of 1024, case-insensitive).
std::optional<uint64_t> ParseByteSize(std::string_view text);

// The candidate nearest to `word`, if it is near enough to be a typing error
// (edit distance below 3, case ignored).
std::optional<std::string> Suggest(std::string_view word,
                                   const std::vector<std::string>& candidates);
// "\"a b\"" with control characters escaped: for error texts.
std::string Quoted(std::string_view text);
// "1.98MB", "12.3kB": decimal units with up to four significant digits
// (three for `Precision 3` columns), as `docker images` prints them.
std::string HumanSize(uint64_t bytes);
// "3 seconds", "About a minute", "2 weeks": as Docker prints durations.
std::string HumanDuration(int64_t seconds);

// RFC 3339 <-> seconds since 1970 (fractions are accepted and cut).
std::string FormatRfc3339(int64_t seconds);
std::optional<int64_t> ParseRfc3339(std::string_view text);

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_STRINGS_H_
