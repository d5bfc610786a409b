// Rules about the names of stages and the casing of keywords.
#include <algorithm>
#include <cctype>
#include <set>

#include "imgbuild/util/strings.h"

#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

bool IsLower(std::string_view text) {
  return std::ranges::none_of(
      text, [](unsigned char c) { return std::isupper(c) != 0; });
}

bool IsUpper(std::string_view text) {
  return std::ranges::none_of(
      text, [](unsigned char c) { return std::islower(c) != 0; });
}

// The text as it was written; the lower-cased one where a word is continued
// on another line.
std::string AsWritten(const Word& word) {
  const SourcePos begin = word.range.begin();
  const SourcePos end = word.range.end();
  if (!word.range || begin.line != end.line) return word.text;
  return std::string(word.range.file()
                         ->Line(begin.line)
                         .substr(begin.column - 1, end.column - begin.column));
}

void JudgeStageNameCasing(const Instruction& instruction,
                          std::vector<Finding>& out) {
  const auto* from = std::get_if<From>(&instruction.node);
  if (from == nullptr || !from->name) return;
  const std::string written = AsWritten(*from->name);
  if (IsLower(written)) return;
  out.push_back({RuleId::kStageNameCasing,
                 "Stage name '" + written + "' should be lowercase",
                 instruction.range, from->name->range});
}

void JudgeFromAsCasing(const Instruction& instruction,
                       std::vector<Finding>& out) {
  const auto* from = std::get_if<From>(&instruction.node);
  if (from == nullptr || !from->name) return;
  // The word before the last one of the line is the AS.
  std::string_view rest = Trim(instruction.original);
  const auto take_last = [&rest] {
    const size_t blank = rest.find_last_of(" \t\v\f\r");
    const std::string_view word = rest.substr(blank + 1);
    rest = Trim(rest.substr(0, blank));
    return word;
  };
  take_last();
  const std::string_view as = take_last();
  const std::string& keyword = instruction.keyword;
  const bool lower = IsLower(keyword);
  if (!lower && !IsUpper(keyword)) return;  // another rule's
  if (lower ? IsLower(as) : IsUpper(as)) return;
  out.push_back({RuleId::kFromAsCasing,
                 "'" + std::string(as) + "' and '" + keyword +
                     "' keywords' casing do not match",
                 instruction.range, instruction.keyword_range});
}

void JudgeDuplicateStageName(const LintInput& input,
                             std::vector<Finding>& out) {
  std::set<std::string_view> seen;
  for (const Stage& stage : input.file.stages) {
    const auto& from = std::get<From>(stage.from.node);
    if (!from.name || seen.insert(from.name->text).second) continue;
    out.push_back({RuleId::kDuplicateStageName,
                   "Duplicate stage name " + Quoted(from.name->text) +
                       ", stage names should be unique",
                   stage.from.range, from.name->range});
  }
}

void JudgeReservedStageName(const LintInput& input, std::vector<Finding>& out) {
  for (const Stage& stage : input.file.stages) {
    const auto& from = std::get<From>(stage.from.node);
    if (!from.name) continue;
    const std::string& name = from.name->text;
    if (name != "scratch" && name != "context") continue;
    out.push_back(
        {RuleId::kReservedStageName,
         "Stage name should not use the same name as reserved stage " +
             Quoted(name),
         stage.from.range, from.name->range});
  }
}

// The instructions whose casing counts: ARGs before the first FROM do not.
template <typename Visit>
void ForEachKeyword(const Dockerfile& file, const Visit& visit) {
  for (const Stage& stage : file.stages) {
    visit(stage.from);
    for (const Instruction& instruction : stage.instructions) {
      visit(instruction);
    }
  }
}

void JudgeConsistentInstructionCasing(const LintInput& input,
                                      std::vector<Finding>& out) {
  size_t lower = 0;
  size_t upper = 0;
  ForEachKeyword(input.file, [&](const Instruction& instruction) {
    lower += IsLower(instruction.keyword) ? 1 : 0;
    upper += IsUpper(instruction.keyword) ? 1 : 0;
  });
  const bool want_lower = lower > upper;
  ForEachKeyword(input.file, [&](const Instruction& instruction) {
    const std::string& keyword = instruction.keyword;
    if (want_lower ? IsLower(keyword) : IsUpper(keyword)) return;
    out.push_back({RuleId::kConsistentInstructionCasing,
                   "Command '" + keyword +
                       "' should match the case of the command majority (" +
                       (want_lower ? "lowercase" : "uppercase") + ")",
                   instruction.range, instruction.keyword_range});
  });
}

const Rule kRules[] = {
    {.id = RuleId::kStageNameCasing,
     .name = "StageNameCasing",
     .description = "Stage names should be lowercase",
     .url = "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/",
     .fires = "The name after AS has a capital letter.",
     .why = "Names of stages are compared without regard to case, and stored "
            "in lower case. Written in lower case, a name looks the same in "
            "the Dockerfile, in --target and in the output.",
     .bad = "FROM alpine AS Builder",
     .good = "FROM alpine AS builder",
     .judge_instruction = JudgeStageNameCasing},
    {.id = RuleId::kFromAsCasing,
     .name = "FromAsCasing",
     .description = "The 'as' keyword should match the case of the 'from' "
                    "keyword",
     .url = "https://docs.docker.com/go/dockerfile/rule/from-as-casing/",
     .fires = "FROM and AS of one line are written in different case.",
     .why = "Both are keywords. One case for keywords and another for names "
            "makes a line readable at a glance.",
     .bad = "FROM alpine as builder",
     .good = "FROM alpine AS builder",
     .judge_instruction = JudgeFromAsCasing},
    {.id = RuleId::kDuplicateStageName,
     .name = "DuplicateStageName",
     .description = "Stage names should be unique",
     .url = "https://docs.docker.com/go/dockerfile/rule/duplicate-stage-name/",
     .fires = "Two stages have the same name.",
     .why = "What comes after the second stage can no longer reach the first "
            "one, and --target means the second: often a stage was copied and "
            "its name forgotten.",
     .bad = "FROM alpine AS build\nRUN make a\n\nFROM alpine AS build\n"
            "RUN make b",
     .good = "FROM alpine AS build-a\nRUN make a\n\nFROM alpine AS build-b\n"
             "RUN make b",
     .judge_file = JudgeDuplicateStageName},
    {.id = RuleId::kReservedStageName,
     .name = "ReservedStageName",
     .description = "Reserved words should not be used as stage names",
     .url = "https://docs.docker.com/go/dockerfile/rule/reserved-stage-name/",
     .fires = "A stage is called scratch or context.",
     .why = "FROM scratch is the empty image and `context` is the build "
            "context: a stage of that name cannot be told from them.",
     .bad = "FROM alpine AS scratch",
     .good = "FROM alpine AS base",
     .judge_file = JudgeReservedStageName},
    {.id = RuleId::kConsistentInstructionCasing,
     .name = "ConsistentInstructionCasing",
     .description = "All commands within the Dockerfile should use the same "
                    "casing (either upper or lower)",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "consistent-instruction-casing/",
     .fires = "An instruction's name is not in the case that most of the file "
              "has, or mixes cases.",
     .why = "The case has no meaning, so a difference only distracts: a "
            "reader looks for a reason that is not there.",
     .bad = "FROM alpine\nRun echo hello\ncmd [\"sh\"]",
     .good = "FROM alpine\nRUN echo hello\nCMD [\"sh\"]",
     .judge_file = JudgeConsistentInstructionCasing},
};

}  // namespace

std::span<const Rule> NamingRules() { return kRules; }

}  // namespace imgbuild::dockerfile
