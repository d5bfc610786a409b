#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "imgbuild/util/strings.h"

#include "cli/go_template.h"
#include "cli/go_template_functions.h"
#include "cli/go_template_tree.h"

namespace imgbuild::cli::go_template {
namespace {

using Kind = Token::Kind;

// Go's number syntax: decimal, hex, octal and binary with _ between digits,
// and floating point.
std::optional<Json> ParseNumber(std::string text) {
  std::erase(text, '_');
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.erase(0, 1);
  const std::string head = ToLower(text.substr(0, 2));
  int base = 10;
  size_t skip = 2;
  if (head == "0x") {
    base = 16;
  } else if (head == "0b") {
    base = 2;
  } else if (head == "0o") {
    base = 8;
  } else if (text.size() > 1 && text[0] == '0' &&
             text.find_first_of(".eE") == std::string::npos) {
    base = 8;
    skip = 1;
  } else {
    skip = 0;
  }
  const char* const end = text.data() + text.size();
  int64_t integer = 0;
  const auto whole = std::from_chars(text.data() + skip, end, integer, base);
  if (whole.ec == std::errc() && whole.ptr == end) {
    return Json(negative ? -integer : integer);
  }
  double real = 0;
  const auto part = std::from_chars(text.data(), end, real);
  if (base == 10 && part.ec == std::errc() && part.ptr == end) {
    return Json(negative ? -real : real);
  }
  return std::nullopt;
}

class Parser {
 public:
  explicit Parser(const Source& source)
      : tree_(std::make_shared<Tree>()), tokens_(Tokens(source)) {
    tree_->source = source;
  }

  std::shared_ptr<const Tree> Run() {
    variables_ = {"$"};
    tree_->nodes = ParseNodes();
    if (!stop_.empty()) {
      Fail(fmt::format("unexpected {{{{{}}}}}", stop_), stop_place_);
    }
    return tree_;
  }

 private:
  [[noreturn]] void Fail(const std::string& reason, Place place) const {
    throw TemplateError(ErrorCode::kFailed, reason, tree_->source, place.begin,
                        place.end);
  }
  static Place PlaceOf(const Token& token) { return {token.begin, token.end}; }
  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  const Token& Take() { return tokens_[std::min(at_++, tokens_.size() - 1)]; }
  struct Deeper {
    explicit Deeper(Parser& parser, Place place) : p(parser) {
      if (++p.depth_ > kMaxTemplateDepth) {
        p.Fail(
            fmt::format("nested more than {} levels deep", kMaxTemplateDepth),
            place);
      }
    }
    ~Deeper() { --p.depth_; }
    Parser& p;
  };

  // Until the end of the text, or behind an {{end}} or {{else}}, which is then
  // in stop_.
  Nodes ParseNodes() {
    Nodes nodes;
    stop_.clear();
    while (Peek().kind != Kind::kEnd) {
      const Token& token = Take();
      if (token.kind == Kind::kText) {
        Node node;
        node.text = token.text;
        node.place = PlaceOf(token);
        nodes.push_back(std::move(node));
        continue;
      }
      const Place left = PlaceOf(token);
      if (Peek().kind == Kind::kWord &&
          (Peek().text == "end" || Peek().text == "else")) {
        stop_place_ = PlaceOf(Peek());
        stop_ = Take().text;
        if (stop_ == "end") Right();
        return nodes;
      }
      ParseAction(nodes, left);
      stop_.clear();
    }
    return nodes;
  }

  void Right() {
    if (Peek().kind == Kind::kClose)
      Fail("unexpected right paren", PlaceOf(Peek()));
    if (Peek().kind != Kind::kRight) {
      Fail(fmt::format("unexpected \"{}\"", Peek().text), PlaceOf(Peek()));
    }
    Take();
  }

  void ParseAction(Nodes& nodes, Place left) {
    const Token& token = Peek();
    const std::string word = token.kind == Kind::kWord ? token.text : "";
    Node node;
    node.place = {left.begin, token.end};
    if (word == "if" || word == "range" || word == "with") {
      Take();
      nodes.push_back(ParseBlock(word, node.place));
    } else if (word == "break" || word == "continue") {
      Take();
      if (loops_ == 0) {
        Fail(fmt::format("{{{{{}}}}} outside {{{{range}}}}", word),
             PlaceOf(token));
      }
      Right();
      node.kind = word == "break" ? Node::Kind::kBreak : Node::Kind::kContinue;
      nodes.push_back(std::move(node));
    } else if (word == "define" || word == "block" || word == "template") {
      Take();
      ParseNamed(word, nodes, node);
    } else {
      node.kind = Node::Kind::kAction;
      node.pipeline = ParsePipeline("command", 1);
      Right();
      nodes.push_back(std::move(node));
    }
  }

  // Behind the keyword, to its {{end}}.
  Node ParseBlock(const std::string& word, Place place) {
    const Deeper deeper(*this, place);
    Node node;
    node.place = place;
    node.kind = word == "if"     ? Node::Kind::kIf
                : word == "with" ? Node::Kind::kWith
                                 : Node::Kind::kRange;
    const size_t scope = variables_.size();
    node.pipeline = ParsePipeline(word, word == "range" ? 2 : 1);
    Right();
    loops_ += word == "range" ? 1 : 0;
    node.body = ParseNodes();
    loops_ -= word == "range" ? 1 : 0;
    if (stop_ == "else") {
      if (Peek().kind == Kind::kWord && Peek().text == word &&
          word != "range") {
        // {{else if}}: a block of its own, which takes the {{end}}.
        Take();
        node.otherwise.push_back(ParseBlock(word, stop_place_));
        stop_ = "end";
      } else {
        Right();
        node.otherwise = ParseNodes();
        if (stop_ == "else")
          Fail("expected {{end}}, not a second {{else}}", stop_place_);
      }
    }
    variables_.resize(scope);
    if (stop_ != "end") {
      Fail(fmt::format("{{{{{}}}}} has no {{{{end}}}}", word), place);
    }
    return node;
  }

  // define NAME, block NAME PIPELINE, template NAME [PIPELINE].
  void ParseNamed(const std::string& word, Nodes& nodes, Node node) {
    const Deeper deeper(*this, node.place);
    if (Peek().kind != Kind::kString) {
      Fail(fmt::format("{{{{{}}}}} needs a quoted name", word),
           PlaceOf(Peek()));
    }
    node.kind = Node::Kind::kTemplate;
    node.text = Take().text;
    if (word == "block" ||
        (word == "template" && Peek().kind != Kind::kRight)) {
      node.pipeline = ParsePipeline(word, 1);
    }
    Right();
    if (word != "template") {
      const std::vector<std::string> outside = variables_;
      const int loops = loops_;
      variables_ = {"$"};
      loops_ = 0;
      Nodes body = ParseNodes();
      if (stop_ != "end") {
        Fail(fmt::format("{{{{{}}}}} has no {{{{end}}}}", word), node.place);
      }
      tree_->defined[node.text] = std::move(body);
      variables_ = outside;
      loops_ = loops;
    }
    if (word != "define") nodes.push_back(std::move(node));
  }

  Pipeline ParsePipeline(const std::string& what, size_t max_variables) {
    Pipeline pipeline;
    pipeline.place = PlaceOf(Peek());
    const std::vector<std::string> declared =
        ParseVariables(pipeline, what, max_variables);
    while (Peek().kind != Kind::kRight && Peek().kind != Kind::kClose) {
      pipeline.calls.push_back(ParseCall(pipeline.calls.size()));
      if (Peek().kind != Kind::kPipe) break;
      Take();
    }
    if (pipeline.calls.empty()) {
      Fail("missing value for " + what, pipeline.place);
    }
    pipeline.place.end = pipeline.calls.back().place.end;
    // Not before: `$x := $x` means the outer one.
    variables_.insert(variables_.end(), declared.begin(), declared.end());
    return pipeline;
  }

  // `$x :=`, `$x =`, `$i, $e :=`. Returns the new ones.
  std::vector<std::string> ParseVariables(Pipeline& pipeline,
                                          const std::string& what,
                                          size_t max_variables) {
    if (Peek().kind != Kind::kVar) return {};
    size_t count = 1;
    while (Peek(2 * count - 1).kind == Kind::kComma &&
           Peek(2 * count).kind == Kind::kVar) {
      ++count;
    }
    const Token& mark = Peek(2 * count - 1);
    if (mark.kind != Kind::kDeclare && mark.kind != Kind::kAssign) return {};
    if (count > max_variables) {
      Fail("too many declarations in " + what, PlaceOf(Peek()));
    }
    pipeline.assign = mark.kind == Kind::kAssign;
    for (size_t i = 0; i < count; ++i) {
      const Token& name = Take();
      if (pipeline.assign) RequireVariable(name);
      pipeline.variables.push_back(name.text);
      Take();
    }
    return pipeline.assign ? std::vector<std::string>() : pipeline.variables;
  }

  void RequireVariable(const Token& token) const {
    if (std::ranges::find(variables_, token.text) == variables_.end()) {
      Fail(fmt::format("undefined variable \"{}\"", token.text),
           PlaceOf(token));
    }
  }

  Call ParseCall(size_t stage) {
    Call call;
    while (true) {
      const Kind kind = Peek().kind;
      if (kind == Kind::kPipe || kind == Kind::kRight || kind == Kind::kClose ||
          kind == Kind::kEnd) {
        break;
      }
      call.words.push_back(ParseOperand());
    }
    if (call.words.empty()) {
      Fail(fmt::format("unexpected \"{}\" in command", Peek().text),
           PlaceOf(Peek()));
    }
    call.place = {call.words.front().place.begin, call.words.back().place.end};
    const Operand& first = call.words.front();
    const bool passive =
        first.fields.empty() && (first.kind == Operand::Kind::kDot ||
                                 first.kind == Operand::Kind::kNil ||
                                 first.kind == Operand::Kind::kLiteral);
    if (stage > 0 && passive) {
      Fail(
          fmt::format("non executable command in pipeline stage {}", stage + 1),
          call.place);
    }
    return call;
  }

  Operand ParseOperand() {
    const Token& token = Take();
    Operand operand;
    operand.place = PlaceOf(token);
    bool chains = true;
    switch (token.kind) {
      case Kind::kDot:
        chains = false;
        break;
      case Kind::kField:
        operand.fields.push_back(token.text);
        operand.field_places.push_back(PlaceOf(token));
        break;
      case Kind::kVar:
        RequireVariable(token);
        operand.kind = Operand::Kind::kVariable;
        operand.name = token.text;
        break;
      case Kind::kOpen:
        ParseParen(operand);
        break;
      case Kind::kWord:
        chains = false;
        ParseWord(token, operand);
        break;
      case Kind::kNumber:
        chains = false;
        operand.kind = Operand::Kind::kLiteral;
        if (auto number = ParseNumber(token.text)) {
          operand.literal = std::move(*number);
          break;
        }
        Fail(fmt::format("bad number syntax: \"{}\"", token.text),
             operand.place);
      case Kind::kChar:
      case Kind::kString:
        chains = false;
        operand.kind = Operand::Kind::kLiteral;
        operand.literal = token.kind == Kind::kString
                              ? Json(token.text)
                              : Json(*ParseInt(token.text));
        break;
      default:
        Fail(fmt::format("unexpected \"{}\" in command", token.text),
             operand.place);
    }
    ParseFields(operand, chains);
    return operand;
  }

  void ParseFields(Operand& operand, bool chains) {
    while (!Peek().blank_before &&
           (Peek().kind == Kind::kField || Peek().kind == Kind::kDot)) {
      const Token& field = Take();
      if (!chains || field.kind == Kind::kDot) {
        Fail("unexpected \".\" in operand", PlaceOf(field));
      }
      operand.fields.push_back(field.text);
      operand.field_places.push_back(PlaceOf(field));
      operand.place.end = field.end;
    }
    const Kind kind = Peek().kind;
    if (!Peek().blank_before && kind != Kind::kPipe && kind != Kind::kRight &&
        kind != Kind::kClose && kind != Kind::kEnd) {
      Fail(fmt::format("unexpected \"{}\" in operand", Peek().text),
           PlaceOf(Peek()));
    }
  }

  void ParseParen(Operand& operand) {
    const Deeper deeper(*this, operand.place);
    operand.kind = Operand::Kind::kPipeline;
    const size_t scope = variables_.size();
    operand.pipeline = std::make_shared<const Pipeline>(
        ParsePipeline("parenthesized pipeline", 1));
    variables_.resize(scope);
    if (Peek().kind != Kind::kClose) {
      Fail("unclosed left paren", operand.place);
    }
    operand.place.end = Take().end;
  }

  void ParseWord(const Token& token, Operand& operand) {
    operand.name = token.text;
    if (token.text == "nil") {
      operand.kind = Operand::Kind::kNil;
    } else if (token.text == "true" || token.text == "false") {
      operand.kind = Operand::Kind::kLiteral;
      operand.literal = token.text == "true";
    } else {
      operand.kind = Operand::Kind::kFunction;
      if (FindFunction(token.text) != nullptr) return;
      Error error =
          TemplateError(ErrorCode::kFailed,
                        fmt::format("function \"{}\" not defined", token.text),
                        tree_->source, token.begin, token.end);
      const auto near = Suggest(token.text, FunctionNames());
      throw near ? error.WithHint(fmt::format("did you mean {}?", *near))
                 : error;
    }
  }

  std::shared_ptr<Tree> tree_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
  int loops_ = 0;
  std::vector<std::string> variables_;
  std::string stop_;
  Place stop_place_;
};

}  // namespace

std::shared_ptr<const Tree> ParseTree(const Source& source) {
  return Parser(source).Run();
}

}  // namespace imgbuild::cli::go_template
