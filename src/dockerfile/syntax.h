// One instruction as the grammar sees it: which words there are and where,
// without their meaning. What stands between the ANTLR parse tree (which stays
// in syntax.cc) and the AST builder.
#ifndef IMGBUILD_DOCKERFILE_SYNTAX_H_
#define IMGBUILD_DOCKERFILE_SYNTAX_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dockerfile/line_reader.h"

namespace imgbuild::dockerfile {

enum class Keyword {
  kAdd,
  kArg,
  kCmd,
  kCopy,
  kEntrypoint,
  kEnv,
  kExpose,
  kFrom,
  kHealthcheck,
  kInclude,  // an extension
  kLabel,
  kMaintainer,
  kOnBuild,
  kReset,  // an extension
  kRun,
  kShell,
  kStopSignal,
  kUser,
  kVolume,
  kWorkdir,
  kUnknown,
};

struct FlagSyntax {
  Span whole;
  Span name;  // after the dashes, before '='; quotes and escapes still in it
  std::optional<Span> value;  // empty for `--name=`
};

struct WordSyntax {
  Span span;
  bool heredoc = false;
};

struct JsonSyntax {
  Span span;  // of a string with its quotes, or of any other value
  bool string = false;
};

struct InstructionSyntax {
  Keyword keyword = Keyword::kUnknown;
  Span keyword_span;
  std::vector<FlagSyntax> flags;
  // From the first byte after the flags to the end of the line.
  Span arguments;
  // The elements, when the arguments are a JSON array.
  std::optional<std::vector<JsonSyntax>> json;
  // FROM, EXPOSE, VOLUME, COPY, ADD, ENV, LABEL, ARG: the words.
  // RUN: its here-documents.
  std::vector<WordSyntax> words;
  // RUN: the quotes do not match, so what looks like a here-document is none.
  bool lost_heredoc = false;
  // HEALTHCHECK: NONE, CMD or whatever stands there.
  enum class Health { kMissing, kNone, kCmd, kOther };
  Health health = Health::kMissing;
  Span health_span;
  // ONBUILD: the instruction behind it.
  std::unique_ptr<InstructionSyntax> trigger;
};

// The generated parser. Keeps its objects between lines; not thread-safe, make
// one for each use (the tables behind it are shared, and are).
class Grammar {
 public:
  explicit Grammar(char escape);
  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  InstructionSyntax Read(const LogicalLine& line);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_SYNTAX_H_
