// The functions of a template: Go's own and Docker's. Private to go_template.
#ifndef IMGBUILD_CLI_GO_TEMPLATE_FUNCTIONS_H_
#define IMGBUILD_CLI_GO_TEMPLATE_FUNCTIONS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/go_printf.h"
#include "cli/go_template_tree.h"

namespace imgbuild::cli::go_template {

struct Argument {
  Value value;
  Place place;
};

// A call whose arguments are known.
struct Invocation {
  std::string_view name;
  const std::vector<Argument>& arguments;
  Place place;
  // Throws the Error at that place.
  const std::function<void(const std::string&, Place)>& fail;

  [[noreturn]] void Fail(const std::string& reason) const;
  [[noreturn]] void FailAt(const std::string& reason, Place where) const;
  // Argument `i` as that type, or Fail.
  const std::string& String(size_t i) const;
  int64_t Int(size_t i) const;
};

struct Function {
  std::string_view name;
  size_t least;  // arguments
  size_t most;
  // Null for `and` and `or`, which do not evaluate all they are given.
  Json (*call)(const Invocation& invocation);
};

inline constexpr size_t kAnyNumber = 1000;

const Function* FindFunction(std::string_view name);
std::vector<std::string> FunctionNames();

// What Go calls true: neither nil, false, 0 nor empty.
bool IsTrue(const Value& value);

}  // namespace imgbuild::cli::go_template

#endif  // IMGBUILD_CLI_GO_TEMPLATE_FUNCTIONS_H_
