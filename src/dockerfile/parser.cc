#include "imgbuild/dockerfile/parser.h"

#include <optional>
#include <utility>

#include "imgbuild/dockerfile/directives.h"
#include "imgbuild/util/error.h"

#include "dockerfile/ast_builder.h"
#include "dockerfile/line_reader.h"
#include "dockerfile/syntax.h"

namespace imgbuild::dockerfile {
namespace {

// Instructions to stages.
void Place(Instruction instruction, Dockerfile* out) {
  if (std::holds_alternative<From>(instruction.node)) {
    out->stages.push_back(Stage{std::move(instruction), {}});
    return;
  }
  if (!out->stages.empty()) {
    out->stages.back().instructions.push_back(std::move(instruction));
    return;
  }
  if (std::holds_alternative<Arg>(instruction.node)) {
    out->meta_args.push_back(std::move(instruction));
    return;
  }
  throw Error(ErrorCode::kDockerfile,
              instruction.keyword + " stands before the first FROM")
      .At(instruction.keyword_range)
      .WithHint("only ARG may stand there");
}

void Warn(const LogicalLine& line, Dockerfile* out) {
  if (!line.blank_line()) return;
  out->warnings.push_back(
      {"NoEmptyContinuation",
       "blank line inside a continued instruction: it will become an error",
       *line.blank_line()});
}

}  // namespace

Dockerfile Parse(std::shared_ptr<const SourceFile> source,
                 const ParseOptions& options) {
  LineReader reader(source, options);
  Dockerfile out;
  out.source = source;
  out.escape = reader.escape();
  out.directives = reader.directives();
  for (const Directive& directive : out.directives) CheckDirective(directive);

  Grammar grammar(reader.escape());
  LogicalLine line;
  uint32_t lost_heredoc = 0;  // the line of the instruction before, if any
  while (reader.Next(&line)) {
    Warn(line, &out);
    const InstructionSyntax syntax = grammar.Read(line);
    AstBuilder builder(line, &reader);
    try {
      Place(builder.Build(syntax), &out);
    } catch (Error& error) {
      if (syntax.keyword == Keyword::kUnknown && lost_heredoc != 0) {
        error.WithHint("is this a here-document's body? The quotes on line " +
                       std::to_string(lost_heredoc) +
                       " do not match, so there is none");
      }
      throw;
    }
    lost_heredoc = syntax.lost_heredoc ? line.WholeRange().begin().line : 0;
  }
  if (!out.stages.empty()) return out;

  const SourceRange end = SourceRange::FromOffsets(
      source, source->text().size(), source->text().size());
  if (source->text().empty())
    throw Error(ErrorCode::kDockerfile, "the Dockerfile is empty").At(end);
  if (out.meta_args.empty())
    throw Error(ErrorCode::kDockerfile, "the Dockerfile has no instructions")
        .At(end);
  throw Error(ErrorCode::kDockerfile, "the Dockerfile has no FROM")
      .At(out.meta_args.back().range)
      .WithHint("a stage begins with FROM IMAGE");
}

Instruction ParseTrigger(std::shared_ptr<const SourceFile> trigger,
                         char escape) {
  LineReader reader(trigger, ParseOptions(), escape, /*directives=*/false);
  Grammar grammar(escape);
  LogicalLine line;
  if (!reader.Next(&line)) {
    throw Error(ErrorCode::kDockerfile, "the trigger has no instruction")
        .At(SourceRange::FromOffsets(trigger, 0, 0));
  }
  Instruction out = AstBuilder(line, &reader).Build(grammar.Read(line));
  if (std::holds_alternative<From>(out.node) ||
      std::holds_alternative<Maintainer>(out.node) ||
      std::holds_alternative<OnBuild>(out.node)) {
    throw Error(ErrorCode::kDockerfile,
                out.keyword + " is not allowed as a trigger")
        .At(out.keyword_range);
  }
  LogicalLine second;
  if (reader.Next(&second)) {
    throw Error(ErrorCode::kDockerfile, "a trigger is exactly one instruction")
        .At(second.WholeRange());
  }
  return out;
}

}  // namespace imgbuild::dockerfile
