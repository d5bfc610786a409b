// The only file that sees ANTLR.
#include "dockerfile/syntax.h"

#include <DockerfileLexer.h>
#include <DockerfileParser.h>
#include <antlr4-runtime.h>

#include <array>
#include <mutex>
#include <utility>

#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

using imgbuild_grammar::DockerfileLexer;
using imgbuild_grammar::DockerfileParser;

// Both have static tables that are built here, once, at the first use:
// half a millisecond that `imgbuild --version` does not pay.
void LoadTables() {
  static std::once_flag once;
  std::call_once(once, [] {
    DockerfileLexer::LoadTables();
    DockerfileParser::LoadTables();
  });
}

// A line as the symbols that DockerfileLexer.g4 describes. One symbol is one
// byte, so that token positions are byte positions; none is above 127, because
// the runtime caches transitions for those only.
class LineStream : public antlr4::CharStream {
 public:
  explicit LineStream(char escape) {
    for (size_t i = 0; i < symbols_.size(); ++i)
      symbols_[i] = static_cast<unsigned char>(i < 0x80 ? i : kOther);
    for (size_t taken : {0x00, 0x1B, 0x1C, 0x1D}) symbols_[taken] = 0x01;
    symbols_[static_cast<unsigned char>(escape)] = escape == '\\' ? 0x1B : 0x1C;
  }

  void Set(std::string_view text) {
    text_ = text;
    position_ = 0;
  }

  void consume() override {
    if (position_ < text_.size()) ++position_;
  }
  size_t LA(ssize_t offset) override {
    const size_t at =
        position_ + static_cast<size_t>(offset > 0 ? offset - 1 : offset);
    if (offset == 0 || at >= text_.size()) return antlr4::IntStream::EOF;
    const size_t symbol = symbols_[static_cast<unsigned char>(text_[at])];
    return symbol == kOther && InSpace(at) ? kSpace : symbol;
  }
  ssize_t mark() override { return -1; }
  void release(ssize_t) override {}
  size_t index() override { return position_; }
  void seek(size_t index) override {
    position_ = std::min(index, text_.size());
  }
  size_t size() override { return text_.size(); }
  std::string getSourceName() const override { return "Dockerfile"; }
  std::string getText(const antlr4::misc::Interval& interval) override {
    const size_t begin = static_cast<size_t>(interval.a);
    return std::string(
        text_.substr(begin, static_cast<size_t>(interval.b) - begin + 1));
  }
  std::string toString() const override { return std::string(text_); }

 private:
  static constexpr size_t kOther = 0x7F;
  static constexpr size_t kSpace = 0x1D;

  // Whether the byte at `at` belongs to a blank of Unicode.
  bool InSpace(size_t at) const {
    for (size_t back = 0; back <= 2 && back <= at; ++back) {
      if (SpaceAt(text_, at - back) > back) return true;
    }
    return false;
  }

  std::string_view text_;
  size_t position_ = 0;
  std::array<unsigned char, 256> symbols_;
};

Span SpanOf(const antlr4::Token& token) {
  return {token.getStartIndex(), token.getStopIndex() + 1};
}
Span SpanOf(antlr4::tree::TerminalNode* node) {
  return SpanOf(*node->getSymbol());
}

Keyword KeywordOf(size_t token_type) {
  switch (token_type) {
    case DockerfileLexer::ADD:
      return Keyword::kAdd;
    case DockerfileLexer::ARG:
      return Keyword::kArg;
    case DockerfileLexer::CMD:
      return Keyword::kCmd;
    case DockerfileLexer::COPY:
      return Keyword::kCopy;
    case DockerfileLexer::ENTRYPOINT:
      return Keyword::kEntrypoint;
    case DockerfileLexer::ENV:
      return Keyword::kEnv;
    case DockerfileLexer::EXPOSE:
      return Keyword::kExpose;
    case DockerfileLexer::FROM:
      return Keyword::kFrom;
    case DockerfileLexer::HEALTHCHECK:
      return Keyword::kHealthcheck;
    case DockerfileLexer::INCLUDE:
      return Keyword::kInclude;
    case DockerfileLexer::LABEL:
      return Keyword::kLabel;
    case DockerfileLexer::MAINTAINER:
      return Keyword::kMaintainer;
    case DockerfileLexer::ONBUILD:
      return Keyword::kOnBuild;
    case DockerfileLexer::RESET:
      return Keyword::kReset;
    case DockerfileLexer::RUN:
      return Keyword::kRun;
    case DockerfileLexer::SHELL:
      return Keyword::kShell;
    case DockerfileLexer::STOPSIGNAL:
      return Keyword::kStopSignal;
    case DockerfileLexer::USER:
      return Keyword::kUser;
    case DockerfileLexer::VOLUME:
      return Keyword::kVolume;
    case DockerfileLexer::WORKDIR:
      return Keyword::kWorkdir;
    default:
      return Keyword::kUnknown;
  }
}

// The first non-blank byte at or after `from`, to the end of the line.
Span RestFrom(std::string_view line, size_t from) {
  while (const size_t blank = SpaceAt(line, from)) from += blank;
  return {from, line.size()};
}

FlagSyntax ReadFlag(DockerfileParser::FlagContext* context) {
  FlagSyntax flag;
  if (antlr4::tree::TerminalNode* bare = context->FLAG()) {
    flag.whole = SpanOf(bare);
    flag.name = {flag.whole.begin + 2, flag.whole.end};
    return flag;
  }
  flag.whole = SpanOf(context->FLAG_ASSIGN());
  flag.name = {flag.whole.begin + 2, flag.whole.end - 1};
  flag.value = Span{flag.whole.end, flag.whole.end};
  if (antlr4::tree::TerminalNode* value = context->FLAG_VALUE()) {
    flag.value = SpanOf(value);
    flag.whole.end = flag.value->end;
  }
  return flag;
}

std::vector<JsonSyntax> ReadJson(DockerfileParser::ExecFormContext* context) {
  std::vector<JsonSyntax> elements;
  for (auto* child : context->jsonArray()->children) {
    auto* value = dynamic_cast<DockerfileParser::JsonValueContext*>(child);
    if (value == nullptr) continue;
    elements.push_back({{value->getStart()->getStartIndex(),
                         value->getStop()->getStopIndex() + 1},
                        value->JSON_STRING() != nullptr});
  }
  return elements;
}

// The words of `context`, of whichever kind: its own terminals.
std::vector<WordSyntax> ReadWords(antlr4::ParserRuleContext* context) {
  std::vector<WordSyntax> words;
  words.reserve(context->children.size());
  for (auto* child : context->children) {
    auto* node = dynamic_cast<antlr4::tree::TerminalNode*>(child);
    if (node == nullptr) continue;
    words.push_back({SpanOf(node),
                     node->getSymbol()->getType() == DockerfileLexer::HEREDOC});
  }
  return words;
}

void ReadHealth(DockerfileParser::HealthcheckContext* context,
                std::string_view line, InstructionSyntax* out) {
  using Health = InstructionSyntax::Health;
  antlr4::tree::TerminalNode* type = nullptr;
  if ((type = context->HEALTH_NONE()) != nullptr) {
    out->health = Health::kNone;
  } else if ((type = context->HEALTH_CMD()) != nullptr) {
    out->health = Health::kCmd;
  } else if ((type = context->HEALTH_OTHER()) != nullptr) {
    out->health = Health::kOther;
  } else {
    return;
  }
  out->health_span = SpanOf(type);
  out->arguments = RestFrom(line, out->health_span.end);
  if (auto* exec = context->execForm()) out->json = ReadJson(exec);
}

// Keyword and flags, the same for every instruction.
void ReadHead(const antlr4::Token& keyword,
              DockerfileParser::FlagsContext* context, std::string_view line,
              InstructionSyntax* out) {
  out->keyword = KeywordOf(keyword.getType());
  out->keyword_span = SpanOf(keyword);
  size_t end = out->keyword_span.end;
  if (context != nullptr) {
    for (auto* child : context->children) {
      if (auto* flag = dynamic_cast<DockerfileParser::FlagContext*>(child)) {
        out->flags.push_back(ReadFlag(flag));
        end = out->flags.back().whole.end;
      }
    }
    if (antlr4::tree::TerminalNode* node = context->END_OF_FLAGS())
      end = SpanOf(node).end;
  }
  out->arguments = RestFrom(line, end);
}

void ReadPlain(DockerfileParser::PlainContext* context, std::string_view line,
               InstructionSyntax* out) {
  ReadHead(*context->getStart(), context->flags(), line, out);
  if (auto* exec = context->execForm()) out->json = ReadJson(exec);
  if (auto* words = context->words()) out->words = ReadWords(words);
  if (auto* sources = context->sources()) out->words = ReadWords(sources);
  if (auto* pairs = context->pairs()) out->words = ReadWords(pairs);
  if (auto* script = context->script()) {
    // Quotes that do not match: no here-documents.
    if (script->SCRIPT_UNTERMINATED().empty()) {
      out->words = ReadWords(script);
    } else {
      out->lost_heredoc = line.find("<<", out->arguments.begin) != line.npos;
    }
  }
  if (auto* health = context->healthcheck()) ReadHealth(health, line, out);
}

void ReadInstruction(DockerfileParser::InstructionContext* context,
                     std::string_view line, InstructionSyntax* out) {
  if (auto* plain = context->plain()) return ReadPlain(plain, line, out);
  DockerfileParser::OnbuildContext* onbuild = context->onbuild();
  ReadHead(*onbuild->getStart(), onbuild->flags(), line, out);
  DockerfileParser::TriggerContext* trigger = onbuild->trigger();
  if (auto* plain = trigger->plain()) {
    out->trigger = std::make_unique<InstructionSyntax>();
    ReadPlain(plain, line, out->trigger.get());
  } else if (antlr4::tree::TerminalNode* again = trigger->ONBUILD()) {
    out->trigger = std::make_unique<InstructionSyntax>();
    ReadHead(*again->getSymbol(), nullptr, line, out->trigger.get());
  }
}

// Turns a syntax error into an exception. The grammar takes every line that
// is not lexed as JSON, so this only tells that the arguments are no JSON.
class NotThisWay : public std::exception {};
class ThrowingListener : public antlr4::BaseErrorListener {
 public:
  void syntaxError(antlr4::Recognizer*, antlr4::Token*, size_t, size_t,
                   const std::string&, std::exception_ptr) override {
    throw NotThisWay();
  }
};

}  // namespace

class Grammar::Impl {
 public:
  explicit Impl(char escape)
      : stream_(escape), lexer_(&stream_), tokens_(&lexer_), parser_(&tokens_) {
    lexer_.removeErrorListeners();
    lexer_.addErrorListener(&listener_);
    parser_.removeErrorListeners();
    parser_.addErrorListener(&listener_);
  }

  InstructionSyntax Read(const LogicalLine& line) {
    try {
      return ReadAs(line, /*json_allowed=*/true);
    } catch (const NotThisWay&) {
    }
    try {
      return ReadAs(line, /*json_allowed=*/false);
    } catch (const NotThisWay&) {
      throw Error(ErrorCode::kDockerfile, "syntax error").At(line.WholeRange());
    }
  }

 private:
  InstructionSyntax ReadAs(const LogicalLine& line, bool json_allowed) {
    stream_.Set(line.text());
    lexer_.setInputStream(&stream_);
    lexer_.BeginLine(json_allowed);
    tokens_.setTokenSource(&lexer_);
    parser_.setTokenStream(&tokens_);
    InstructionSyntax syntax;
    try {
      ReadInstruction(parser_.line()->instruction(), line.text(), &syntax);
    } catch (const DockerfileLexer::TooManyTokens&) {
      throw Error(ErrorCode::kDockerfile,
                  "instruction has more than " +
                      std::to_string(DockerfileLexer::kMaxTokens) + " words")
          .At(line.Range({0, 1}));
    }
    return syntax;
  }

  ThrowingListener listener_;
  LineStream stream_;
  DockerfileLexer lexer_;
  antlr4::CommonTokenStream tokens_;
  DockerfileParser parser_;
};

Grammar::Grammar(char escape) {
  LoadTables();
  impl_ = std::make_unique<Impl>(escape);
}
Grammar::~Grammar() = default;

InstructionSyntax Grammar::Read(const LogicalLine& line) {
  return impl_->Read(line);
}

}  // namespace imgbuild::dockerfile
