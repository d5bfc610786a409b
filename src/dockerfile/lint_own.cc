// The rules that are ours: what makes an image irreproducible, bigger than it
// need be, or a Dockerfile longer than it need be.
#include <algorithm>

#include "imgbuild/util/strings.h"

#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

void ReportUnknown(const std::vector<std::string>& names,
                   const SourceRange& range, const SourceRange& focus,
                   std::vector<Finding>& out) {
  for (const std::string& name : names) {
    if (name == "all" || name == "imgbuild/*" || FindRule(name) != nullptr) {
      continue;
    }
    std::string message = "There is no check called " + Quoted(name);
    if (const auto near = NearestRule(name)) {
      message += " (did you mean " + *near + "?)";
    }
    out.push_back({RuleId::kUnknownRule, std::move(message), range, focus});
  }
}

void JudgeUnknownRule(const LintInput& input, std::vector<Finding>& out) {
  for (const Directive& directive : input.file.directives) {
    if (directive.name != "check") continue;
    const Word value = DirectiveValue(directive);
    const CheckOptions options = ParseCheckOptions(value);
    ReportUnknown(options.skip, directive.range, value.range, out);
    ReportUnknown(options.experimental, directive.range, value.range, out);
  }
  const auto look = [&](const Instruction& instruction) {
    ReportUnknown(SkippedAbove(instruction), instruction.range, {}, out);
  };
  for (const Instruction& instruction : input.file.meta_args) look(instruction);
  for (const Stage& stage : input.file.stages) {
    look(stage.from);
    for (const Instruction& instruction : stage.instructions) look(instruction);
  }
}

const Rule kRules[] = {
    {.id = RuleId::kUnpinnedImage,
     .name = "imgbuild/UnpinnedImage",
     .description = "Images should be pinned by digest, in the Dockerfile or "
                    "in its lock",
     .url = "",
     .check_only = true,
     .fires = "FROM, COPY --from or RUN --mount=from names an image by tag "
              "alone, and Dockerfile.lock has no entry for it.",
     .why = "A tag can stand for another image tomorrow: the same Dockerfile "
            "then makes another image, or none. `imgbuild lock` writes what "
            "every name stands for into Dockerfile.lock, and builds use it.",
     .bad = "FROM alpine:3.20",
     .good = "# alpine:3.20 has an entry in Dockerfile.lock; or:\n"
             "FROM alpine:3.20@sha256:beefdbd8a1da6d2915566fde36db9db0b524eb737"
             "fc57cd1367effd16dc0d06d"},
    {.id = RuleId::kLockMismatch,
     .name = "imgbuild/LockMismatch",
     .description = "The digest in the Dockerfile should be the one in its "
                    "lock",
     .url = "",
     .check_only = true,
     .fires = "A name has a tag and a digest, and Dockerfile.lock has another "
              "digest for that tag.",
     .why = "One of the two is out of date, and a reader cannot tell which "
            "image is meant. `imgbuild lock update` brings them together.",
     .bad = "# Dockerfile.lock: alpine:3.20 is sha256:1111…\n"
            "FROM alpine:3.20@sha256:2222…",
     .good = "# Dockerfile.lock: alpine:3.20 is sha256:2222…\n"
             "FROM alpine:3.20@sha256:2222…"},
    {.id = RuleId::kChownAfterCopy,
     .name = "imgbuild/ChownAfterCopy",
     .description = "Files should get their owner and mode when they are "
                    "copied, not in a RUN after it",
     .url = "",
     .check_only = true,
     .fires = "RUN chown -R or chmod -R changes a tree that a COPY or ADD "
              "right before it has brought in.",
     .why = "Every file that changes owner or mode is stored again in the "
            "layer of the RUN: the image holds the whole tree twice. COPY "
            "--chown and --chmod set both while copying.",
     .bad = "COPY app/ /app/\nRUN chown -R 1000:1000 /app",
     .good = "COPY --chown=1000:1000 app/ /app/",
     .judge_file = JudgeChownAfterCopy},
    {.id = RuleId::kUnusedStage,
     .name = "imgbuild/UnusedStage",
     .description = "A stage that nothing uses should be removed, or described "
                    "as a target",
     .url = "",
     .check_only = true,
     .fires = "A stage is not the last one, no FROM, COPY --from or mount "
              "names it, and no comment describes it.",
     .why = "A build skips it, so it can be broken for months before anybody "
            "notices. A stage that is built with --target on purpose says so "
            "with a comment that begins with its name; then this is silent.",
     .bad = "FROM golang AS test\nRUN go test ./...\n\nFROM alpine",
     .good = "# test runs the tests\nFROM golang AS test\nRUN go test ./...\n\n"
             "FROM alpine",
     .judge_file = JudgeUnusedStage},
    {.id = RuleId::kUnusedArg,
     .name = "imgbuild/UnusedArg",
     .description = "An ARG that nothing reads should be removed",
     .url = "",
     .check_only = true,
     .fires = "No later instruction of the stage, or of stages that stand on "
              "it, uses the variable, and no RUN comes after it (a RUN has "
              "every ARG in its environment). Before the first FROM: no FROM "
              "uses it and no stage declares it again.",
     .why = "Its value does nothing: --build-arg seems to work and changes "
            "nothing. Before the first FROM it is mostly an ARG that a stage "
            "forgot to declare again.",
     .bad = "ARG VERSION=3.20\nFROM alpine\nRUN echo \"building $VERSION\"",
     .good = "ARG VERSION=3.20\nFROM alpine\nARG VERSION\n"
             "RUN echo \"building $VERSION\"",
     .judge_file = JudgeUnusedArg},
    {.id = RuleId::kUnknownRule,
     .name = "imgbuild/UnknownRule",
     .description = "check= should name checks that exist",
     .url = "",
     .check_only = true,
     .fires = "skip= or experimental= has a name that is no check.",
     .why = "A misspelt name skips nothing, silently.",
     .bad = "# check=skip=StageNameCase",
     .good = "# check=skip=StageNameCasing",
     .judge_file = JudgeUnknownRule},
};

}  // namespace

std::vector<std::string> SkippedAbove(const Instruction& instruction) {
  for (const std::string& comment : instruction.comments) {
    std::string_view text = Trim(comment);
    if (!text.starts_with("check")) continue;
    text = Trim(text.substr(5));
    if (!text.starts_with('=')) continue;
    text = Trim(text.substr(1));
    // Above an instruction only skip= means anything; the rest is prose.
    if (!text.starts_with("skip")) continue;
    try {
      return ParseCheckOptions({std::string(text), {}}).skip;
    } catch (const std::exception&) {
      continue;
    }
  }
  return {};
}

std::span<const Rule> OwnRules() { return kRules; }

}  // namespace imgbuild::dockerfile
