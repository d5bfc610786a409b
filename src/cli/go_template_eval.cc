#include <fmt/format.h>

#include <deque>
#include <utility>

#include "imgbuild/util/strings.h"

#include "cli/go_template.h"
#include "cli/go_template_functions.h"
#include "cli/go_template_tree.h"

namespace imgbuild::cli {
namespace go_template {
namespace {

enum class Flow { kOn, kBreak, kContinue };

class Evaluator {
 public:
  Evaluator(const Tree& tree, const Json& data, const TemplateShape& shape)
      : tree_(tree),
        shape_(shape),
        data_(data),
        fail_([this](const std::string& reason, Place place) {
          Fail(reason, place);
        }) {}

  std::string Run() {
    variables_.emplace_back("$", Value{&data_});
    Walk(tree_.nodes, Value{&data_});
    return std::move(out_);
  }

 private:
  [[noreturn]] void Fail(const std::string& reason, Place place) const {
    throw TemplateError(ErrorCode::kFailed, reason, tree_.source, place.begin,
                        place.end);
  }
  Value Keep(Json json) {
    kept_.push_back(std::move(json));
    return Value{&kept_.back()};
  }
  void Step(Place place) {
    if (++steps_ > kMaxTemplateSteps) {
      Fail("too much to do: the template takes more than 2,000,000 steps",
           place);
    }
  }
  void Emit(std::string_view text, Place place) {
    if (out_.size() + text.size() > kMaxTemplateOutput) {
      Fail("the output is larger than 64 MiB", place);
    }
    out_ += text;
  }

  Flow Walk(const Nodes& nodes, const Value& dot) {
    for (const Node& node : nodes) {
      Step(node.place);
      const Flow flow = WalkNode(node, dot);
      if (flow != Flow::kOn) return flow;
    }
    return Flow::kOn;
  }

  Flow WalkNode(const Node& node, const Value& dot) {
    const size_t scope = variables_.size();
    Flow flow = Flow::kOn;
    switch (node.kind) {
      case Node::Kind::kText:
        Emit(node.text, node.place);
        break;
      case Node::Kind::kAction: {
        const Value value = Evaluate(node.pipeline, dot);
        Declare(node.pipeline, value);
        if (node.pipeline.variables.empty()) {
          // A null of the data is Go's nil pointer: "<nil>".
          const bool nothing = value.missing || (value.json == nullptr &&
                                                 !value.list && !value.map);
          Emit(nothing ? "<no value>" : Print(value), node.place);
        }
        return Flow::kOn;  // the variable stays
      }
      case Node::Kind::kIf:
      case Node::Kind::kWith: {
        const Value value = Evaluate(node.pipeline, dot);
        Declare(node.pipeline, value);
        flow =
            IsTrue(value)
                ? Walk(node.body, node.kind == Node::Kind::kWith ? value : dot)
                : Walk(node.otherwise, dot);
        break;
      }
      case Node::Kind::kRange:
        flow = Range(node, dot);
        break;
      case Node::Kind::kBreak:
        return Flow::kBreak;
      case Node::Kind::kContinue:
        return Flow::kContinue;
      case Node::Kind::kTemplate:
        Include(node, dot);
        break;
    }
    variables_.resize(scope);
    return flow;
  }

  void Include(const Node& node, const Value& dot) {
    const auto found = tree_.defined.find(node.text);
    if (found == tree_.defined.end()) {
      Fail(fmt::format("template \"{}\" not defined", node.text), node.place);
    }
    if (++depth_ > kMaxTemplateDepth) {
      Fail("templates call each other without end", node.place);
    }
    const Value given =
        node.pipeline.calls.empty() ? Value{} : Evaluate(node.pipeline, dot);
    std::vector<std::pair<std::string, Value>> outside;
    outside.swap(variables_);
    variables_.emplace_back("$", given);
    Walk(found->second, given);
    variables_ = std::move(outside);
    --depth_;
  }

  Value& Variable(const std::string& name) {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) return it->second;
    }
    return variables_.front().second;  // the parser saw to it
  }

  void Declare(const Pipeline& pipeline, const Value& value) {
    for (const std::string& name : pipeline.variables) {
      Bind(pipeline, name, value);
    }
  }
  void Bind(const Pipeline& pipeline, const std::string& name,
            const Value& value) {
    if (pipeline.assign) {
      Variable(name) = value;
    } else {
      variables_.emplace_back(name, value);
    }
  }

  Flow Range(const Node& node, const Value& dot) {
    const Value over = Evaluate(node.pipeline, dot);
    const bool keyed = over.json != nullptr && over.json->is_object();
    if (over.IsNull()) return Walk(node.otherwise, dot);
    int64_t count = 0;
    std::vector<std::string> keys;
    if (over.json->is_array()) {
      count = static_cast<int64_t>(over.json->size());
    } else if (keyed) {
      keys = SortedKeys(*over.json);
      count = static_cast<int64_t>(keys.size());
    } else if (over.json->is_number_integer()) {
      count = over.json->get<int64_t>();
    } else {
      Fail("range can't iterate over " + Print(over), node.pipeline.place);
    }
    if (count <= 0) return Walk(node.otherwise, dot);
    for (int64_t i = 0; i < count; ++i) {
      Step(node.place);
      const auto at = static_cast<size_t>(i);
      const Value key = keyed ? Keep(keys[at]) : Keep(i);
      const Value element = over.json->is_array() ? Value{&over.json->at(at)}
                            : keyed ? Value{&over.json->at(keys[at])}
                                    : key;
      const Flow flow = OneRound(node, key, element);
      if (flow == Flow::kBreak) break;
    }
    return Flow::kOn;
  }

  Flow OneRound(const Node& node, const Value& key, const Value& element) {
    const size_t scope = variables_.size();
    const std::vector<std::string>& names = node.pipeline.variables;
    if (names.size() == 2) Bind(node.pipeline, names[0], key);
    if (!names.empty()) Bind(node.pipeline, names.back(), element);
    const Flow flow = Walk(node.body, element);
    variables_.resize(scope);
    return flow;
  }

  Value Evaluate(const Pipeline& pipeline, const Value& dot) {
    std::optional<Argument> piped;
    for (const Call& call : pipeline.calls) {
      Step(call.place);
      const Value value = EvaluateCall(call, dot, piped);
      piped = Argument{value, call.place};
    }
    return piped->value;
  }

  Value EvaluateCall(const Call& call, const Value& dot,
                     const std::optional<Argument>& piped) {
    const Operand& first = call.words.front();
    if (first.kind == Operand::Kind::kFunction) {
      return EvaluateFunction(call, dot, piped);
    }
    const bool given = call.words.size() > 1 || piped.has_value();
    if (given && !first.fields.empty()) {
      return EvaluateMethod(call, dot, piped);
    }
    if (given) {
      Fail(fmt::format("can't give argument to non-function {}",
                       Written(first.place)),
           first.place);
    }
    if (first.kind == Operand::Kind::kNil) {
      Fail("nil is not a command", first.place);
    }
    return EvaluateOperand(first, dot);
  }

  std::string Written(Place place) const {
    return tree_.source->text().substr(place.begin, place.end - place.begin);
  }

  std::vector<Argument> Arguments(const Call& call, const Value& dot,
                                  const std::optional<Argument>& piped) {
    std::vector<Argument> arguments;
    for (size_t i = 1; i < call.words.size(); ++i) {
      arguments.push_back(
          {EvaluateOperand(call.words[i], dot), call.words[i].place});
    }
    if (piped) arguments.push_back(*piped);
    return arguments;
  }

  // `.Label "k"`.
  Value EvaluateMethod(const Call& call, const Value& dot,
                       const std::optional<Argument>& piped) {
    const Operand& first = call.words.front();
    const auto method = shape_.methods.find(first.fields.back());
    const bool of_top = first.fields.size() == 1 && dot.json == &data_ &&
                        first.kind == Operand::Kind::kDot;
    if (!of_top || method == shape_.methods.end()) {
      Fail(fmt::format("{} is not a method but has arguments",
                       first.fields.back()),
           first.place);
    }
    std::vector<Json> arguments;
    for (const Argument& argument : Arguments(call, dot, piped)) {
      arguments.push_back(argument.value.json == nullptr
                              ? Json(nullptr)
                              : *argument.value.json);
    }
    if (arguments.size() != 1 || !arguments[0].is_string()) {
      Fail(fmt::format("{} takes one text", first.fields.back()), call.place);
    }
    return Keep(method->second(arguments));
  }

  Value EvaluateFunction(const Call& call, const Value& dot,
                         const std::optional<Argument>& piped) {
    const Operand& word = call.words.front();
    const Function& function = *FindFunction(word.name);
    const size_t count = call.words.size() - 1 + (piped ? 1 : 0);
    if (count < function.least || count > function.most) {
      Fail(fmt::format(
               "wrong number of args for {}: want {}{} got {}", word.name,
               function.most == kAnyNumber ? "at least "
               : function.most != function.least
                   ? fmt::format("{} to ", function.least)
                   : "",
               function.most == kAnyNumber ? function.least : function.most,
               count),
           word.place);
    }
    if (function.call == nullptr) return AndOr(call, dot, piped);
    const std::vector<Argument> arguments = Arguments(call, dot, piped);
    if (shape_.header && PassesHeader(word.name)) return arguments[0].value;
    return Keep(function.call({word.name, arguments, call.place, fail_}));
  }

  // A header is the plain word, whatever is done to the cells below it.
  static bool PassesHeader(std::string_view name) {
    static constexpr std::string_view kNames[] = {
        "json", "split", "join", "title", "lower", "upper", "pad", "truncate"};
    return std::ranges::find(kNames, name) != std::end(kNames);
  }

  // The first that decides, or the last.
  Value AndOr(const Call& call, const Value& dot,
              const std::optional<Argument>& piped) {
    const bool stop_at = call.words.front().name == "or";
    Value value;
    for (size_t i = 1; i < call.words.size(); ++i) {
      value = EvaluateOperand(call.words[i], dot);
      if (IsTrue(value) == stop_at) return value;
    }
    return piped ? piped->value : value;
  }

  Value EvaluateOperand(const Operand& operand, const Value& dot) {
    Value value;
    switch (operand.kind) {
      case Operand::Kind::kDot:
        value = dot;
        break;
      case Operand::Kind::kNil:
        return {};
      case Operand::Kind::kLiteral:
        return {&operand.literal};
      case Operand::Kind::kVariable:
        value = Variable(operand.name);
        break;
      case Operand::Kind::kPipeline:
        value = Evaluate(*operand.pipeline, dot);
        break;
      case Operand::Kind::kFunction: {
        const Call call{{operand}, operand.place};
        return EvaluateFunction(call, dot, std::nullopt);
      }
    }
    for (size_t i = 0; i < operand.fields.size(); ++i) {
      value = Field(value, operand, i);
    }
    return value;
  }

  Value Field(const Value& value, const Operand& operand, size_t i) {
    const std::string& name = operand.fields[i];
    const Place place = operand.field_places[i];
    const Json* json = value.json;
    if (value.IsNull() && (value.map || value.missing)) {
      return {nullptr, true, false, false};
    }
    if (value.IsNull()) {
      Fail(fmt::format("nil pointer evaluating {}.{}",
                       i == 0 ? "" : operand.fields[i - 1], name),
           place);
    }
    if (!json->is_object()) {
      Fail(fmt::format("can't evaluate field {} in type {}", name,
                       TypeName(value)),
           place);
    }
    const auto found = json->find(name);
    if (found == json->end()) {
      if (value.map) return {nullptr, true, false, false};
      if (auto absent = Absent(name)) return *absent;
      FailNoField(*json, name, place);
    }
    return {&*found, false, shape_.maps.contains(name),
            shape_.lists.contains(name), shape_.durations.contains(name)};
  }

  // What a field of Go's structs is when JSON leaves it out.
  std::optional<Value> Absent(const std::string& name) {
    if (shape_.maps.contains(name)) return Value{nullptr, false, true, false};
    if (shape_.lists.contains(name)) return Value{nullptr, false, false, true};
    if (shape_.texts.contains(name)) return Keep("");
    if (shape_.optional.contains(name)) return Keep(nullptr);
    return std::nullopt;
  }

  [[noreturn]] void FailNoField(const Json& object, const std::string& name,
                                Place place) const {
    const std::vector<std::string> names = SortedKeys(object);
    Error error = TemplateError(ErrorCode::kFailed,
                                fmt::format("no field \"{}\" here", name),
                                tree_.source, place.begin, place.end);
    const auto near = Suggest(name, names);
    throw error.WithHint(near ? fmt::format("did you mean .{}?", *near)
                              : "there are: " + Join(names, ", "));
  }

  const Tree& tree_;
  const TemplateShape& shape_;
  const Json& data_;
  const std::function<void(const std::string&, Place)> fail_;
  std::deque<Json> kept_;  // addresses stay
  std::vector<std::pair<std::string, Value>> variables_;
  std::string out_;
  int steps_ = 0;
  int depth_ = 0;
};

}  // namespace
}  // namespace go_template

GoTemplate GoTemplate::Parse(const std::string& text, const std::string& name) {
  if (text.size() > kMaxTemplateBytes) {
    throw Error(ErrorCode::kFailed,
                name + ": the template is larger than 64 KiB");
  }
  return GoTemplate(
      go_template::ParseTree(std::make_shared<SourceFile>(name, text)));
}

std::string GoTemplate::Execute(const nlohmann::ordered_json& data,
                                const TemplateShape& shape) const {
  return go_template::Evaluator(*tree_, data, shape).Run();
}

}  // namespace imgbuild::cli
