// The instructions with here-documents: RUN, COPY, ADD.
#include <algorithm>
#include <utility>

#include "imgbuild/dockerfile/device.h"
#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/ast_builder.h"
#include "dockerfile/heredoc.h"
#include "dockerfile/quote.h"
#include "dockerfile/raw_mount.h"

namespace imgbuild::dockerfile {
namespace {

// A flag whose value is one of a few words.
std::optional<Word> OneOf(const FlagSet& flags, std::string_view name,
                          const std::vector<std::string>& values) {
  std::optional<Word> word = flags.TextOrEmpty(name);
  if (!word ||
      std::find(values.begin(), values.end(), word->text) != values.end())
    return word;
  Error error(
      ErrorCode::kDockerfile,
      "RUN: --" + std::string(name) + ": unknown value " + Shown(word->text));
  error.At(word->range);
  if (const std::optional<std::string> near = Suggest(word->text, values)) {
    error.WithHint("did you mean \"" + *near + "\"?");
  } else {
    error.WithHint("it is " + Join(values, " or "));
  }
  throw error;
}

}  // namespace

std::vector<Heredoc> AstBuilder::ReadHeredocs(const InstructionSyntax& syntax) {
  std::vector<Heredoc> out;
  for (const WordSyntax& word : syntax.words) {
    if (!word.heredoc) continue;
    std::optional<Heredoc> heredoc = ParseHeredocWord(line_.Text(word.span));
    if (!heredoc) continue;
    heredoc->range = line_.Range(word.span);
    std::optional<LineReader::Body> body =
        reader_.ReadHeredoc(heredoc->name, heredoc->strip_tabs);
    if (!body) ThrowUnterminated(*heredoc);
    raw_heredocs_ += "\n" + body->raw + heredoc->name;
    end_ = body->after;
    heredoc->body_range =
        SourceRange::FromOffsets(line_.file(), body->begin, body->end);
    heredoc->body =
        heredoc->strip_tabs ? StripTabs(body->raw) : std::move(body->raw);
    out.push_back(std::move(*heredoc));
  }
  return out;
}

void AstBuilder::ThrowUnterminated(const Heredoc& heredoc) {
  Error error(ErrorCode::kDockerfile,
              "unterminated here-document " + Shown(heredoc.name));
  error.At(heredoc.range);
  // The usual reason is a terminator with blanks around it.
  const SourceFile& file = *line_.file();
  for (uint32_t n = heredoc.range.end().line + 1; n <= file.line_count(); ++n) {
    if (TrimSpace(file.Line(n)) != heredoc.name) continue;
    error.WithHint("line " + std::to_string(n) + " has " + Shown(heredoc.name) +
                   " with blanks around it");
    throw error;
  }
  error.WithHint("it ends with a line that is exactly " + Shown(heredoc.name));
  throw error;
}

Run AstBuilder::BuildRun(const InstructionSyntax& syntax) {
  const FlagSet flags = Flags(syntax);
  Run run;
  run.mounts = BuildMounts(flags);
  run.network = OneOf(flags, "network", {"default", "none", "host"});
  run.security = OneOf(flags, "security", {"sandbox", "insecure"});
  run.devices = flags.Multi("device");
  for (const Word& device : run.devices) ParseDeviceRequest(device);
  run.no_cache = flags.Bool("no-cache").value_or(false);
  run.command = BuildCommand(syntax);
  if (syntax.json) return run;

  run.heredocs = ReadHeredocs(syntax);
  // The whole command is the one here-document.
  run.only_heredoc = run.heredocs.size() == 1 &&
                     syntax.words[0].span.begin == syntax.arguments.begin &&
                     syntax.words[0].span.end == syntax.arguments.end;
  if (run.only_heredoc) {
    run.command.shell.clear();
    run.script = run.heredocs[0].body;
  } else {
    run.script = run.command.shell + raw_heredocs_;
  }
  return run;
}

std::vector<RawMount> AstBuilder::BuildMounts(const FlagSet& flags) {
  std::vector<RawMount> out;
  for (const Span& span : flags.Spans("mount")) {
    const Unquoted value = UnquoteFlag(line_, span, escape_);
    out.push_back(ParseRawMount(line_, span, value));
    CheckMount(out.back(), escape_);
  }
  return out;
}

void AstBuilder::CopySources(const InstructionSyntax& syntax, Copy* copy) {
  if (syntax.json) {
    copy->json_form = true;
    copy->sources = Strings(syntax);
  } else {
    copy->heredocs = ReadHeredocs(syntax);
    for (const WordSyntax& word : syntax.words) {
      const bool heredoc =
          word.heredoc && ParseHeredocWord(line_.Text(word.span)).has_value();
      if (heredoc && &word == &syntax.words.back() && syntax.words.size() > 1) {
        throw Mistake(syntax, "the destination cannot be a here-document",
                      word.span)
            .WithHint("write the destination after it");
      }
      if (!heredoc) copy->sources.push_back(line_.MakeWord(word.span));
    }
  }
  const size_t count = copy->sources.size() + copy->heredocs.size();
  if (count < 2) {
    throw Missing(syntax, "requires at least one source and a destination");
  }
  copy->destination = std::move(copy->sources.back());
  copy->sources.pop_back();
}

Copy AstBuilder::BuildCopy(const InstructionSyntax& syntax) {
  Copy copy;
  copy.is_add = syntax.keyword == Keyword::kAdd;
  const FlagSet flags = Flags(syntax);
  CopySources(syntax, &copy);
  copy.from = flags.Text("from");
  if (copy.from && HasVariable(copy.from->text, escape_)) {
    throw Error(
        ErrorCode::kDockerfile,
        "COPY: --from does not expand variables: " + Shown(copy.from->text))
        .At(copy.from->range)
        .WithHint(
            "name it with a stage of its own: FROM IMAGE AS NAME, with the "
            "variable as a global ARG");
  }
  copy.chown = flags.Text("chown");
  copy.chmod = flags.Text("chmod");
  copy.checksum = flags.Text("checksum");
  if (copy.checksum && copy.sources.size() != 1) {
    throw Error(ErrorCode::kDockerfile,
                "ADD: --checksum requires exactly one source")
        .At(copy.checksum->range);
  }
  copy.keep_git_dir = flags.Bool("keep-git-dir");
  copy.unpack = flags.Bool("unpack");
  copy.link = flags.Bool("link").value_or(false);
  copy.parents = flags.Bool("parents").value_or(false);
  copy.if_exists = flags.Bool("if-exists").value_or(false);
  copy.excludes = flags.Multi("exclude");
  return copy;
}

}  // namespace imgbuild::dockerfile
