// Any bytes as a Dockerfile. An Error with a place is a fine answer; a crash, a
// hang, another exception or a range outside the file is not.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/dockerfile/mount.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/util/error.h"

namespace imgbuild::dockerfile {
namespace {

void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void CheckRange(const SourceRange& range) {
  if (!range) return;
  Require(range.begin() <= range.end(), "a range ends before it begins");
  Require(range.begin().line >= 1 && range.begin().column >= 1,
          "a range begins before its file");
  Require(range.end().line <= range.file()->line_count() + 1,
          "a range ends behind its file");
}

void CheckError(const Error& error) {
  Require(error.code() == ErrorCode::kDockerfile, "the code of an error");
  Require(static_cast<bool>(error.range()), "an error has no place");
  CheckRange(error.range());
  Require(error.Render().starts_with("error: "), "the text of an error");
}

std::optional<std::string> Variable(std::string_view name) {
  if (name.size() % 3 == 0) return std::nullopt;
  return std::string(name) + " ${" + std::string(name) + "}";
}

void UseRun(const Run& run, char escape) {
  for (const RawMount& mount : run.mounts) {
    try {
      const MountSpec spec = ResolveMount(mount, [&](const Word& word) {
        return Expand(word, Variable, escape).text;
      });
      Require(spec.type == MountSpec::Type::kSecret ||
                  spec.type == MountSpec::Type::kSsh || !spec.target.empty(),
              "a mount has no target");
    } catch (const Error& error) {
      CheckError(error);
    }
  }
}

void UseCopy(const Copy& copy, char escape) {
  CheckRange(copy.destination.range);
  Require(!copy.sources.empty() || !copy.heredocs.empty(), "COPY of nothing");
  for (const Word& source : copy.sources) {
    CheckRange(source.range);
    try {
      Expand(source, Variable, escape);
    } catch (const Error& error) {
      CheckError(error);
    }
  }
  for (const Heredoc& heredoc : copy.heredocs) {
    Require(!heredoc.name.empty(), "a here-document has no name");
    try {
      ExpandHeredoc(heredoc, Variable);
    } catch (const Error& error) {
      CheckError(error);
    }
  }
}

void UseTrigger(const OnBuild& onbuild, char escape) {
  // What was accepted and stored reads again when it is triggered.
  const auto text = std::make_shared<SourceFile>("ONBUILD", onbuild.trigger);
  try {
    ParseTrigger(text, escape);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s", error.Render().c_str());
    Require(false, "a stored trigger does not read");
  }
}

void Use(const Instruction& instruction, char escape) {
  CheckRange(instruction.range);
  CheckRange(instruction.keyword_range);
  Require(!instruction.keyword.empty(), "a keyword is empty");
  if (const auto* run = std::get_if<Run>(&instruction.node))
    UseRun(*run, escape);
  if (const auto* copy = std::get_if<Copy>(&instruction.node))
    UseCopy(*copy, escape);
  if (const auto* onbuild = std::get_if<OnBuild>(&instruction.node))
    UseTrigger(*onbuild, escape);
}

void ParseAny(std::string text) {
  ParseOptions options;
  options.max_line_bytes = 1u << 16;
  options.max_file_bytes = 1u << 20;
  if (text.size() > options.max_file_bytes) return;
  const auto source = std::make_shared<SourceFile>("fuzz", std::move(text));
  try {
    const Dockerfile file = Parse(source, options);
    Require(!file.stages.empty(), "a file has no stage");
    for (const Instruction& arg : file.meta_args) Use(arg, file.escape);
    for (const Stage& stage : file.stages) {
      Use(stage.from, file.escape);
      for (const Instruction& instruction : stage.instructions)
        Use(instruction, file.escape);
    }
    for (const ParseWarning& warning : file.warnings) CheckRange(warning.range);
    Require(Dump(file).starts_with("(dockerfile "), "the dump");
  } catch (const Error& error) {
    CheckError(error);
  }
}

}  // namespace
}  // namespace imgbuild::dockerfile

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  imgbuild::dockerfile::ParseAny(
      std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
