// Values as Go's fmt package prints them. Private to go_template.
#ifndef IMGBUILD_CLI_GO_PRINTF_H_
#define IMGBUILD_CLI_GO_PRINTF_H_

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace imgbuild::cli::go_template {

using Json = nlohmann::ordered_json;

// What an expression is worth. Never owns: the data or the evaluator does.
struct Value {
  const Json* json = nullptr;  // null: nil
  bool missing = false;        // a key that a map does not have
  bool map = false;            // an object with free keys, or null for one
  bool list = false;           // a list, or null for one
  bool duration = false;       // nanoseconds

  bool IsNull() const { return json == nullptr || json->is_null(); }
};

// %v; nil is "<nil>", a null list "[]", a null map "map[]".
std::string Print(const Value& value);
// %T: "string", "int", "[]interface {}".
std::string TypeName(const Value& value);
// Keys in byte order, as Go prints and ranges over maps.
std::vector<std::string> SortedKeys(const Json& object);

// Mistakes stand in the text, as Go has them: "%!d(string=x)",
// "%!s(MISSING)", "%!(EXTRA int=1)". Widths and precisions are at most
// kMaxPrintfWidth.
std::string Printf(std::string_view format, const std::vector<Value>& values);

inline constexpr int kMaxPrintfWidth = 10'000;

}  // namespace imgbuild::cli::go_template

#endif  // IMGBUILD_CLI_GO_PRINTF_H_
