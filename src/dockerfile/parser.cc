#include "imgbuild/dockerfile/parser.h"

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/dockerfile/directives.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/ast_builder.h"
#include "dockerfile/flags.h"
#include "dockerfile/line_reader.h"
#include "dockerfile/quote.h"
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

// Told at the instruction's last line, where BuildKit tells it.
void Warn(const LogicalLine& line, Dockerfile* out) {
  if (!line.blank_line()) return;
  const SourcePos end = line.WholeRange().end();
  out->warnings.push_back({"NoEmptyContinuation", "Empty continuation line",
                           SourceRange(line.file(), {end.line, 1}, end)});
}

// Reads files into `out`: the Dockerfile, and what it includes.
class FileParser {
 public:
  FileParser(const ParseOptions& options, Dockerfile* out)
      : options_(options), out_(*out), grammar_(out->escape) {}

  void Read(LineReader& reader) {
    LogicalLine line;
    uint32_t lost_heredoc = 0;  // the line of the instruction before, if any
    while (reader.Next(&line)) {
      Warn(line, &out_);
      const InstructionSyntax syntax = grammar_.Read(line);
      if (out_.extensions && syntax.keyword == Keyword::kInclude) {
        Include(line, syntax);
        lost_heredoc = 0;
        continue;
      }
      AstBuilder builder(line, &reader, out_.extensions);
      try {
        Place(builder.Build(syntax), &out_);
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
  }

 private:
  static Error Refused(const LogicalLine& line, const std::string& why) {
    return Error(ErrorCode::kDockerfile, "INCLUDE: " + why)
        .At(line.WholeRange());
  }

  void Include(const LogicalLine& line, const InstructionSyntax& syntax) {
    const FlagSet none(line, syntax.flags, out_.escape, "INCLUDE", {});
    const std::string name(line.Text(syntax.arguments));
    if (name.empty()) throw Refused(line, "requires a file");
    if (!options_.include) {
      throw Refused(line, "this command reads no further files");
    }
    if (open_.size() == kMaxIncludeDepth) {
      throw Refused(line, "files include one another more than " +
                              std::to_string(kMaxIncludeDepth) + " deep");
    }
    if (++included_ > kMaxIncludes) {
      throw Refused(line, "more than " + std::to_string(kMaxIncludes) +
                              " files are included");
    }
    std::shared_ptr<const SourceFile> file;
    try {
      file = options_.include(*line.file(), name);
    } catch (Error& error) {
      throw error.At(line.Range(syntax.arguments));
    }
    bool circular = file->name() == out_.source->name();
    for (const std::string& other : open_) {
      circular = circular || other == file->name();
    }
    if (circular) {
      throw Refused(line, Shown(file->name()) + " includes itself");
    }
    open_.push_back(file->name());
    try {
      LineReader reader(file, options_, out_.escape, /*directives=*/false);
      Read(reader);
    } catch (Error& error) {
      throw error.While("in the file included at " +
                        line.WholeRange().ToString());
    }
    open_.pop_back();
  }

  const ParseOptions& options_;
  Dockerfile& out_;
  Grammar grammar_;
  std::vector<std::string> open_;  // included files, outermost first
  size_t included_ = 0;
};

// `# imgbuild: extensions=1` among the comments at the top of the file. Other
// builders take it for a comment, as they should: they refuse the rest.
bool HasExtensions(const std::shared_ptr<const SourceFile>& source) {
  bool extensions = false;
  for (uint32_t number = 1; number <= source->line_count(); ++number) {
    std::string_view line = source->Line(number);
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    line = Trim(line);
    if (!line.starts_with('#')) break;
    line = Trim(line.substr(1));
    if (!line.starts_with("imgbuild:")) continue;
    const std::string_view value = Trim(line.substr(line.find(':') + 1));
    // Prose is a comment.
    if (value.find('=') == value.npos || value.find(' ') != value.npos) {
      continue;
    }
    if (value != "extensions=1") {
      const size_t column = source->Line(number).find(value);
      const auto at = static_cast<uint32_t>(column) + 1;
      throw Error(ErrorCode::kDockerfile,
                  "unknown imgbuild directive " + Shown(value))
          .At(SourceRange(source, {number, at},
                          {number, at + static_cast<uint32_t>(value.size())}))
          .WithHint("there is one: # imgbuild: extensions=1");
    }
    extensions = true;
  }
  return extensions;
}

}  // namespace

Dockerfile Parse(std::shared_ptr<const SourceFile> source,
                 const ParseOptions& options) {
  LineReader reader(source, options);
  Dockerfile out;
  out.source = source;
  out.escape = reader.escape();
  out.directives = reader.directives();
  out.extensions = HasExtensions(source);
  for (const Directive& directive : out.directives) CheckDirective(directive);

  FileParser(options, &out).Read(reader);
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
