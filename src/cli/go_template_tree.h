// A parsed template. Private to go_template.
#ifndef IMGBUILD_CLI_GO_TEMPLATE_TREE_H_
#define IMGBUILD_CLI_GO_TEMPLATE_TREE_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cli/go_template_lexer.h"

namespace imgbuild::cli::go_template {

using Json = nlohmann::ordered_json;

// Byte offsets in the template.
struct Place {
  size_t begin = 0;
  size_t end = 0;
};

struct Pipeline;

// One operand: what it starts with, then fields.
struct Operand {
  enum class Kind {
    kDot,
    kNil,
    kLiteral,   // bool, number, string
    kVariable,  // name
    kFunction,  // name
    kPipeline,  // ( … )
  };
  Kind kind = Kind::kDot;
  std::string name;
  Json literal;
  std::shared_ptr<const Pipeline> pipeline;
  std::vector<std::string> fields;
  std::vector<Place> field_places;
  Place place;
};

struct Call {
  std::vector<Operand> words;  // never empty
  Place place;
};

// [$a, $b :=] call | call | call. No calls only where none are needed.
struct Pipeline {
  std::vector<std::string> variables;
  bool assign = false;  // = rather than :=
  std::vector<Call> calls;
  Place place;
};

struct Node;
using Nodes = std::vector<Node>;

struct Node {
  enum class Kind {
    kText,
    kAction,
    kIf,
    kRange,
    kWith,
    kBreak,
    kContinue,
    kTemplate,  // text: its name
  };
  Kind kind = Kind::kText;
  std::string text;
  Pipeline pipeline;
  Nodes body;
  Nodes otherwise;
  Place place;
};

struct Tree {
  Source source;
  Nodes nodes;
  std::map<std::string, Nodes, std::less<>> defined;
};

// Throws Error(kFailed).
std::shared_ptr<const Tree> ParseTree(const Source& source);

}  // namespace imgbuild::cli::go_template

#endif  // IMGBUILD_CLI_GO_TEMPLATE_TREE_H_
