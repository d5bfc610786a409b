// Go's text/template, as `--format` and `inspect -f` take it, evaluated over a
// JSON value: fields, pipes, variables, if/else, range, with, define/template,
// comparisons, printf, Docker's own functions (json, join, split, upper, lower,
// title, pad, truncate), trim markers. What real docker prints for
// testdata/template is what the tests expect.
//
// Lexer (go_template_lexer.h) -> parser -> tree (go_template_tree.h) ->
// evaluator -> functions (go_template_functions.h) and printf (go_printf.h).
#ifndef IMGBUILD_CLI_GO_TEMPLATE_H_
#define IMGBUILD_CLI_GO_TEMPLATE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace imgbuild::cli {

namespace go_template {
struct Tree;
}

// What JSON cannot say about the data, and Go's types do.
struct TemplateShape {
  using Names = std::set<std::string, std::less<>>;
  using Method = std::function<nlohmann::ordered_json(
      const std::vector<nlohmann::ordered_json>&)>;

  // Fields whose objects have free keys (Labels): a missing key is
  // "<no value>", not an error, and keys are sorted.
  Names maps;
  // Fields that are lists even when they are null (Entrypoint): shown as [].
  Names lists;
  // Fields that are nanoseconds and shown as Go's durations (Interval: 5s).
  Names durations;
  // Fields that may be absent: then they are "" or nil, not an error. (A map or
  // a list may always be.)
  Names texts;
  Names optional;
  // `.Label "k"`: methods of the top value.
  std::map<std::string, Method, std::less<>> methods;
  // The functions of a table's header: json, upper, … give back what they get.
  bool header = false;
};

// Immutable once parsed; copies share the tree.
class GoTemplate {
 public:
  // At most kMaxTemplateBytes and kMaxTemplateDepth. Throws Error(kFailed) with
  // the place in the template. `name` is what the place is called: "--format".
  static GoTemplate Parse(const std::string& text,
                          const std::string& name = "--format");
  // Throws Error(kFailed) with the place: no such field, wrong type, too few
  // arguments, more than kMaxTemplateOutput bytes or kMaxTemplateSteps steps.
  std::string Execute(const nlohmann::ordered_json& data,
                      const TemplateShape& shape = {}) const;

 private:
  explicit GoTemplate(std::shared_ptr<const go_template::Tree> tree)
      : tree_(std::move(tree)) {}
  std::shared_ptr<const go_template::Tree> tree_;
};

inline constexpr size_t kMaxTemplateBytes = 64u << 10;
inline constexpr int kMaxTemplateDepth = 100;
inline constexpr size_t kMaxTemplateOutput = 64u << 20;
inline constexpr int kMaxTemplateSteps = 2'000'000;

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_GO_TEMPLATE_H_
