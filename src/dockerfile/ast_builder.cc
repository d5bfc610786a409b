#include "dockerfile/ast_builder.h"

#include <algorithm>
#include <utility>

#include "imgbuild/util/strings.h"

#include "dockerfile/flag_table.h"
#include "dockerfile/json_text.h"
#include "dockerfile/quote.h"

namespace imgbuild::dockerfile {
namespace {

constexpr std::pair<Keyword, std::string_view> kKeywords[] = {
    {Keyword::kAdd, "ADD"},
    {Keyword::kArg, "ARG"},
    {Keyword::kCmd, "CMD"},
    {Keyword::kCopy, "COPY"},
    {Keyword::kEntrypoint, "ENTRYPOINT"},
    {Keyword::kEnv, "ENV"},
    {Keyword::kExpose, "EXPOSE"},
    {Keyword::kFrom, "FROM"},
    {Keyword::kHealthcheck, "HEALTHCHECK"},
    {Keyword::kLabel, "LABEL"},
    {Keyword::kMaintainer, "MAINTAINER"},
    {Keyword::kOnBuild, "ONBUILD"},
    {Keyword::kRun, "RUN"},
    {Keyword::kShell, "SHELL"},
    {Keyword::kStopSignal, "STOPSIGNAL"},
    {Keyword::kUser, "USER"},
    {Keyword::kVolume, "VOLUME"},
    {Keyword::kWorkdir, "WORKDIR"},
    {Keyword::kInclude, "INCLUDE"},
    {Keyword::kReset, "RESET"},
};

bool IsExtension(Keyword keyword) {
  return keyword == Keyword::kInclude || keyword == Keyword::kReset;
}

bool IsStageName(std::string_view name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && lower(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return lower(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
                  c == '.';
         });
}

}  // namespace

std::string_view KeywordName(Keyword keyword) {
  for (const auto& [value, name] : kKeywords) {
    if (value == keyword) return name;
  }
  return "";
}

std::vector<std::string> KeywordNames(bool extensions) {
  std::vector<std::string> names;
  for (const auto& [value, name] : kKeywords) {
    if (extensions || !IsExtension(value)) names.emplace_back(name);
  }
  return names;
}

Error AstBuilder::Mistake(const InstructionSyntax& syntax,
                          const std::string& what, Span where) {
  return Error(ErrorCode::kDockerfile,
               std::string(KeywordName(syntax.keyword)) + ": " + what)
      .At(line_.Range(where));
}

Error AstBuilder::Missing(const InstructionSyntax& syntax,
                          std::string_view what) {
  return Mistake(syntax, std::string(what), syntax.keyword_span);
}

FlagSet AstBuilder::Flags(const InstructionSyntax& syntax) {
  return FlagSet(line_, syntax.flags, escape_, KeywordName(syntax.keyword),
                 FlagsOf(syntax.keyword));
}

void AstBuilder::NoFlags(const InstructionSyntax& syntax) {
  FlagSet(line_, syntax.flags, escape_, KeywordName(syntax.keyword), {});
}

Instruction AstBuilder::Build(const InstructionSyntax& syntax) {
  Instruction out;
  out.keyword = line_.Text(syntax.keyword_span);
  out.keyword_range = line_.Range(syntax.keyword_span);
  out.original = line_.text();
  out.comments = line_.comments();
  out.node = BuildNode(syntax);
  out.range = line_.WholeRange();
  if (end_ != 0) {
    out.range =
        SourceRange::FromOffsets(line_.file(), line_.physical_begin(), end_);
  }
  return out;
}

InstructionNode AstBuilder::BuildNode(const InstructionSyntax& syntax) {
  switch (syntax.keyword) {
    case Keyword::kFrom:
      return BuildFrom(syntax);
    case Keyword::kRun:
      return BuildRun(syntax);
    case Keyword::kCopy:
    case Keyword::kAdd:
      return BuildCopy(syntax);
    case Keyword::kCmd:
      return Cmd{BuildCommand(syntax)};
    case Keyword::kEntrypoint:
      return Entrypoint{BuildCommand(syntax)};
    case Keyword::kEnv: {
      Env env;
      env.pairs = BuildPairs(syntax, &env.legacy);
      return env;
    }
    case Keyword::kLabel: {
      Label label;
      label.pairs = BuildPairs(syntax, &label.legacy);
      return label;
    }
    case Keyword::kArg:
      return BuildArg(syntax);
    case Keyword::kExpose:
      return BuildExpose(syntax);
    case Keyword::kVolume:
      return BuildVolume(syntax);
    case Keyword::kMaintainer:
      return Maintainer{BuildSingle(syntax)};
    case Keyword::kUser:
      return User{BuildSingle(syntax)};
    case Keyword::kWorkdir:
      return Workdir{BuildSingle(syntax)};
    case Keyword::kStopSignal:
      return StopSignal{BuildSingle(syntax)};
    case Keyword::kHealthcheck:
      return BuildHealthcheck(syntax);
    case Keyword::kShell:
      return BuildShell(syntax);
    case Keyword::kOnBuild:
      return BuildOnBuild(syntax);
    case Keyword::kReset:
      if (extensions_) return BuildReset(syntax);
      break;
    case Keyword::kInclude:  // the parser takes it where it may stand
    case Keyword::kUnknown:
      break;
  }
  ThrowUnknown(syntax);
}

void AstBuilder::ThrowUnknown(const InstructionSyntax& syntax) {
  const std::string_view written = line_.Text(syntax.keyword_span);
  if (extensions_ && syntax.keyword == Keyword::kInclude) {
    throw Mistake(syntax, "it is not allowed here", syntax.keyword_span);
  }
  Error error(ErrorCode::kDockerfile, "unknown instruction " + Shown(written));
  error.At(line_.Range(syntax.keyword_span));
  if (IsExtension(syntax.keyword)) {
    throw error.WithHint(
        "it is an extension: write \"# imgbuild: extensions=1\" at the top of "
        "the Dockerfile");
  }
  if (const std::optional<std::string> near =
          Suggest(written, KeywordNames(extensions_)))
    throw error.WithHint("did you mean \"" + *near + "\"?");
  // Mostly the second line of a command.
  throw error.WithHint(std::string("a line goes on in the next one when '") +
                       escape_ + "' is its last character");
}

From AstBuilder::BuildFrom(const InstructionSyntax& syntax) {
  From from;
  from.platform = Flags(syntax).Text("platform");
  const std::vector<WordSyntax>& words = syntax.words;
  const bool named =
      words.size() == 3 && EqualsIgnoreCase(line_.Text(words[1].span), "AS");
  if (words.empty()) {
    throw Missing(syntax, "requires an image")
        .WithHint("write FROM IMAGE or FROM IMAGE AS NAME");
  }
  if (words.size() != 1 && !named) {
    throw Mistake(syntax, "requires either one or three arguments",
                  {words[1].span.begin, words.back().span.end})
        .WithHint("write FROM IMAGE or FROM IMAGE AS NAME");
  }
  from.image = line_.MakeWord(words[0].span);
  if (named) {
    Word name = line_.MakeWord(words[2].span);
    const std::string lower = ToLower(name.text);
    if (!IsStageName(lower)) {
      throw Mistake(syntax, "invalid stage name " + Shown(name.text),
                    words[2].span)
          .WithHint(
              "it begins with a letter and has letters, digits, '-', '_' and "
              "'.' only");
    }
    name.text = lower;
    from.name = std::move(name);
  }
  return from;
}

std::vector<Word> AstBuilder::Strings(const InstructionSyntax& syntax) {
  std::vector<Word> out;
  out.reserve(syntax.json->size());
  for (const JsonSyntax& element : *syntax.json) {
    if (!element.string) {
      throw Mistake(syntax, "a JSON array of arguments has strings only",
                    element.span)
          .WithHint("write it in double quotes");
    }
    out.push_back({DecodeJsonString(line_.Text(element.span)),
                   line_.Range(element.span)});
  }
  return out;
}

std::vector<Word> AstBuilder::WordsOrStrings(const InstructionSyntax& syntax) {
  if (syntax.json) return Strings(syntax);
  std::vector<Word> out;
  out.reserve(syntax.words.size());
  for (const WordSyntax& word : syntax.words)
    out.push_back(line_.MakeWord(word.span));
  return out;
}

Command AstBuilder::BuildCommand(const InstructionSyntax& syntax) {
  if (syntax.keyword == Keyword::kCmd || syntax.keyword == Keyword::kEntrypoint)
    NoFlags(syntax);
  // Without a command it is the shell that runs the empty text: RUN with
  // nothing but comments behind it is found in real files.
  Command command;
  command.range = line_.Range(syntax.arguments.empty() ? syntax.keyword_span
                                                       : syntax.arguments);
  if (syntax.json) {
    command.form = Command::Form::kExec;
    for (Word& word : Strings(syntax)) command.exec.push_back(word.text);
  } else {
    command.shell = line_.Text(syntax.arguments);
  }
  return command;
}

std::vector<KeyValue> AstBuilder::BuildPairs(const InstructionSyntax& syntax,
                                             bool* legacy) {
  NoFlags(syntax);
  if (syntax.words.empty())
    throw Missing(syntax, "requires at least one KEY=VALUE");
  const auto has_equals = [&](const WordSyntax& word) {
    return line_.Text(word.span).find('=') != std::string_view::npos;
  };
  std::vector<KeyValue> out;
  *legacy = !has_equals(syntax.words[0]);
  if (*legacy) {
    // KEY VALUE: cut at the first blanks, whatever quotes there are.
    const std::string_view text = line_.Text(syntax.arguments);
    const size_t key_size =
        std::min(text.find_first_of(" \t\v\f\r"), text.size());
    const Span key{syntax.arguments.begin, syntax.arguments.begin + key_size};
    Span value{key.end, syntax.arguments.end};
    while (!value.empty() && IsBlank(line_.text()[value.begin])) ++value.begin;
    if (value.empty()) {
      throw Mistake(syntax, Shown(line_.Text(key)) + " has no value", key)
          .WithHint("write " + std::string(line_.Text(key)) + "=VALUE");
    }
    out.push_back({line_.MakeWord(key), line_.MakeWord(value)});
    return out;
  }
  out.reserve(syntax.words.size());
  for (const WordSyntax& word : syntax.words) {
    const std::string_view text = line_.Text(word.span);
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos) {
      throw Mistake(syntax, Shown(text) + " has no '='", word.span)
          .WithHint(
              "each word is KEY=VALUE; put a value with blanks in quotes");
    }
    const size_t middle = word.span.begin + equals;
    if (equals == 0) throw Mistake(syntax, "the name is blank", word.span);
    out.push_back({line_.MakeWord({word.span.begin, middle}),
                   line_.MakeWord({middle + 1, word.span.end})});
  }
  return out;
}

Arg AstBuilder::BuildArg(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  if (syntax.words.empty()) throw Missing(syntax, "requires a name");
  Arg arg;
  for (const WordSyntax& word : syntax.words) {
    const std::string_view text = line_.Text(word.span);
    const size_t equals = text.find('=');
    if (equals == 0) throw Mistake(syntax, "the name is blank", word.span);
    if (equals == std::string_view::npos) {
      arg.declarations.push_back({line_.MakeWord(word.span), std::nullopt});
      continue;
    }
    const size_t middle = word.span.begin + equals;
    arg.declarations.push_back({line_.MakeWord({word.span.begin, middle}),
                                line_.MakeWord({middle + 1, word.span.end})});
  }
  return arg;
}

Expose AstBuilder::BuildExpose(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  if (syntax.words.empty()) throw Missing(syntax, "requires at least one port");
  return Expose{WordsOrStrings(syntax)};
}

Volume AstBuilder::BuildVolume(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  Volume volume{WordsOrStrings(syntax)};
  if (volume.paths.empty()) throw Missing(syntax, "requires at least one path");
  for (Word& path : volume.paths) {
    path.text = TrimSpace(path.text);
    if (path.text.empty()) {
      throw Error(ErrorCode::kDockerfile, "VOLUME: the path is empty")
          .At(path.range);
    }
  }
  return volume;
}

Word AstBuilder::BuildSingle(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  if (syntax.arguments.empty())
    throw Missing(syntax, "requires exactly one argument");
  return line_.MakeWord(syntax.arguments);
}

Healthcheck AstBuilder::BuildHealthcheck(const InstructionSyntax& syntax) {
  using Health = InstructionSyntax::Health;
  Healthcheck out;
  if (syntax.health == Health::kNone) {
    NoFlags(syntax);
    if (!syntax.arguments.empty()) {
      throw Mistake(syntax, "NONE takes no arguments", syntax.arguments);
    }
    out.none = true;
    return out;
  }
  const FlagSet flags = Flags(syntax);
  if (syntax.health == Health::kMissing)
    throw Missing(syntax, "requires NONE or CMD and a command");
  if (syntax.health == Health::kOther) {
    throw Mistake(syntax,
                  "unknown type " + Shown(line_.Text(syntax.health_span)),
                  syntax.health_span)
        .WithHint("it is NONE or CMD");
  }
  if (syntax.arguments.empty() || (syntax.json && syntax.json->empty()))
    throw Mistake(syntax, "CMD has no command", syntax.health_span);
  out.command = BuildCommand(syntax);

  const auto duration = [&](std::string_view name) -> int64_t {
    const std::optional<Word> word = flags.Text(name);
    if (!word) return 0;
    const std::optional<int64_t> value = ParseGoDuration(word->text);
    const std::string what = "HEALTHCHECK: --" + std::string(name);
    if (!value) {
      throw Error(ErrorCode::kDockerfile,
                  what + ": invalid duration " + Shown(word->text))
          .At(word->range)
          .WithHint("a number and a unit: 30s, 1m30s, 500ms");
    }
    if (*value != 0 && *value < 1'000'000) {
      throw Error(ErrorCode::kDockerfile,
                  what + " cannot be less than 1ms: " + Shown(word->text))
          .At(word->range);
    }
    return *value;
  };
  out.interval_ns = duration("interval");
  out.timeout_ns = duration("timeout");
  out.start_period_ns = duration("start-period");
  out.start_interval_ns = duration("start-interval");
  if (const std::optional<Word> word = flags.Text("retries")) {
    const std::optional<int64_t> retries = ParseInt(word->text);
    if (!retries || *retries > INT32_MAX || *retries < INT32_MIN) {
      throw Error(ErrorCode::kDockerfile,
                  "HEALTHCHECK: --retries: invalid number " + Shown(word->text))
          .At(word->range);
    }
    if (*retries < 0) {
      throw Error(
          ErrorCode::kDockerfile,
          "HEALTHCHECK: --retries cannot be negative: " + Shown(word->text))
          .At(word->range);
    }
    out.retries = *retries;
  }
  return out;
}

Shell AstBuilder::BuildShell(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  if (syntax.arguments.empty())
    throw Missing(syntax, "requires a JSON array of arguments");
  if (!syntax.json) {
    throw Mistake(syntax, "requires the arguments as a JSON array",
                  syntax.arguments)
        .WithHint("write SHELL [\"/bin/sh\", \"-c\"]");
  }
  Shell shell;
  for (Word& word : Strings(syntax)) shell.argv.push_back(std::move(word.text));
  if (shell.argv.empty()) {
    throw Mistake(syntax, "requires at least one argument", syntax.arguments);
  }
  return shell;
}

OnBuild AstBuilder::BuildOnBuild(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  if (!syntax.trigger)
    throw Missing(syntax, "requires an instruction as its trigger");
  const InstructionSyntax& trigger = *syntax.trigger;
  const std::string name(KeywordName(trigger.keyword));
  if (trigger.keyword == Keyword::kOnBuild) {
    throw Mistake(syntax, "chaining ONBUILD is not allowed",
                  trigger.keyword_span);
  }
  // What is stored in an image must be understood everywhere.
  if (trigger.keyword == Keyword::kFrom ||
      trigger.keyword == Keyword::kMaintainer ||
      (extensions_ && IsExtension(trigger.keyword))) {
    throw Mistake(syntax, name + " is not allowed as a trigger",
                  trigger.keyword_span);
  }
  // Built to find its mistakes now, in the file that has them, and to read its
  // here-documents.
  BuildNode(trigger);
  const Span text{trigger.keyword_span.begin, line_.text().size()};
  return OnBuild{std::string(line_.Text(text)) + raw_heredocs_,
                 line_.Range(text)};
}

Reset AstBuilder::BuildReset(const InstructionSyntax& syntax) {
  NoFlags(syntax);
  static constexpr std::pair<std::string_view, Reset::What> kWhat[] = {
      {"VOLUME", Reset::What::kVolume},
      {"EXPOSE", Reset::What::kExpose},
      {"ENV", Reset::What::kEnv},
      {"LABEL", Reset::What::kLabel},
      {"ENTRYPOINT", Reset::What::kEntrypoint}};
  std::vector<std::string> known;
  for (const auto& [name, what] : kWhat) known.emplace_back(name);
  const std::string list = Join(known, ", ");
  if (syntax.words.empty()) {
    throw Missing(syntax, "requires what is taken back")
        .WithHint("it is one of " + list);
  }
  const std::string_view written = line_.Text(syntax.words[0].span);
  for (const auto& [name, what] : kWhat) {
    if (!EqualsIgnoreCase(written, name)) continue;
    Reset reset{what, {}};
    for (size_t i = 1; i < syntax.words.size(); ++i) {
      if (what == Reset::What::kEntrypoint) {
        throw Mistake(syntax, "ENTRYPOINT has no names", syntax.words[i].span);
      }
      reset.names.push_back(line_.MakeWord(syntax.words[i].span));
    }
    return reset;
  }
  Error error = Mistake(syntax, "cannot take back " + Shown(written),
                        syntax.words[0].span);
  const auto near = Suggest(written, known);
  throw error.WithHint(near ? "did you mean \"" + *near + "\"?"
                            : "it is one of " + list);
}

}  // namespace imgbuild::dockerfile
