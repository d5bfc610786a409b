// What an instruction's words mean: InstructionSyntax -> Instruction. Every
// mistake that one instruction alone can show is found here.
#ifndef IMGBUILD_DOCKERFILE_AST_BUILDER_H_
#define IMGBUILD_DOCKERFILE_AST_BUILDER_H_

#include <string_view>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/util/error.h"

#include "dockerfile/flags.h"
#include "dockerfile/line_reader.h"
#include "dockerfile/syntax.h"

namespace imgbuild::dockerfile {

class AstBuilder {
 public:
  // `line` was read from `reader`, which stands behind it: here-document
  // bodies are taken from there.
  // `extensions`: RESET is an instruction.
  AstBuilder(const LogicalLine& line, LineReader* reader,
             bool extensions = false)
      : line_(line),
        reader_(*reader),
        escape_(reader->escape()),
        extensions_(extensions) {}

  // Throws Error(kDockerfile).
  Instruction Build(const InstructionSyntax& syntax);

 private:
  InstructionNode BuildNode(const InstructionSyntax& syntax);
  From BuildFrom(const InstructionSyntax& syntax);
  Run BuildRun(const InstructionSyntax& syntax);
  Copy BuildCopy(const InstructionSyntax& syntax);
  Command BuildCommand(const InstructionSyntax& syntax);
  std::vector<KeyValue> BuildPairs(const InstructionSyntax& syntax,
                                   bool* legacy);
  Arg BuildArg(const InstructionSyntax& syntax);
  Expose BuildExpose(const InstructionSyntax& syntax);
  Volume BuildVolume(const InstructionSyntax& syntax);
  Word BuildSingle(const InstructionSyntax& syntax);
  Healthcheck BuildHealthcheck(const InstructionSyntax& syntax);
  Shell BuildShell(const InstructionSyntax& syntax);
  OnBuild BuildOnBuild(const InstructionSyntax& syntax);
  Reset BuildReset(const InstructionSyntax& syntax);
  [[noreturn]] void ThrowUnknown(const InstructionSyntax& syntax);

  void CopySources(const InstructionSyntax& syntax, Copy* copy);
  std::vector<RawMount> BuildMounts(const FlagSet& flags);
  // Checks a JSON array for other values than strings.
  std::vector<Word> Strings(const InstructionSyntax& syntax);
  std::vector<Word> WordsOrStrings(const InstructionSyntax& syntax);
  // Reads the bodies of the here-documents of `syntax` from the reader.
  // Appends to raw_heredocs_ what the text of the instruction has of them.
  std::vector<Heredoc> ReadHeredocs(const InstructionSyntax& syntax);
  [[noreturn]] void ThrowUnterminated(const Heredoc& heredoc);

  FlagSet Flags(const InstructionSyntax& syntax);
  void NoFlags(const InstructionSyntax& syntax);
  Error Mistake(const InstructionSyntax& syntax, const std::string& what,
                Span where);
  Error Missing(const InstructionSyntax& syntax, std::string_view what);

  const LogicalLine& line_;
  LineReader& reader_;
  const char escape_;
  const bool extensions_;
  // "\n" + body + name of each here-document read so far: a script's or a
  // trigger's text goes on with it.
  std::string raw_heredocs_;
  size_t end_ = 0;  // the end of the last terminator, 0 without one
};

// "RUN", "COPY".
std::string_view KeywordName(Keyword keyword);
// Without `extensions`: those that every builder knows.
std::vector<std::string> KeywordNames(bool extensions = false);

// As Go writes durations: "1m30s", "500ms", "0". Nanoseconds; nullopt for
// anything else and for overflow.
std::optional<int64_t> ParseGoDuration(std::string_view text);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_AST_BUILDER_H_
