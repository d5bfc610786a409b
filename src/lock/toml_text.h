// Keys and strings as TOML writes them.
#ifndef IMGBUILD_LOCK_TOML_TEXT_H_
#define IMGBUILD_LOCK_TOML_TEXT_H_

#include <string>
#include <string_view>

namespace imgbuild::lock {

// A string as TOML's basic string. Bytes that are no UTF-8 become U+FFFD.
std::string QuoteToml(std::string_view text);
// Bare where TOML allows, else quoted.
std::string KeyToml(std::string_view key);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_TOML_TEXT_H_
