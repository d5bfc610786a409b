// Rules about the form in which an instruction is written. Those that depend
// on what the stage has seen before are judged by `plan`.
#include <algorithm>

#include "imgbuild/util/strings.h"

#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

void JudgeMaintainer(const Instruction& instruction,
                     std::vector<Finding>& out) {
  if (!std::holds_alternative<Maintainer>(instruction.node)) return;
  out.push_back({RuleId::kMaintainerDeprecated,
                 "Maintainer instruction is deprecated in favor of using label",
                 instruction.range, instruction.keyword_range});
}

// What a comment above the instruction may describe: the stage or the ARGs.
std::vector<std::string> DefinedNames(const Instruction& instruction) {
  std::vector<std::string> names;
  if (const auto* from = std::get_if<From>(&instruction.node)) {
    if (from->name) names.push_back(from->name->text);
  } else if (const auto* arg = std::get_if<Arg>(&instruction.node)) {
    for (const ArgDeclaration& declaration : arg->declarations) {
      names.push_back(declaration.name.text);
    }
  }
  return names;
}

void JudgeDefinitionDescription(const Instruction& instruction,
                                std::vector<Finding>& out) {
  if (instruction.comments.empty()) return;
  const std::vector<std::string> names = DefinedNames(instruction);
  if (names.empty()) return;
  // The last comment is the description; one that skips checks is none.
  const std::string_view comment = Trim(instruction.comments.back());
  if (!SkippedAbove(instruction).empty() && comment.starts_with("check")) {
    return;
  }
  const std::string_view first = comment.substr(0, comment.find(' '));
  if (std::ranges::find(names, first) != names.end()) return;
  const bool is_from = std::holds_alternative<From>(instruction.node);
  out.push_back({RuleId::kInvalidDefinitionDescription,
                 std::string("Comment for ") + (is_from ? "FROM" : "ARG") +
                     " should follow the format: `# " +
                     (names.size() > 1 ? "<arg_key>" : names[0]) +
                     " <description>`",
                 instruction.range,
                 {}});
}

const Rule kRules[] = {
    {.id = RuleId::kNoEmptyContinuation,
     .name = "NoEmptyContinuation",
     .description =
         "Empty continuation lines will become errors in a future release",
     .url = "https://docs.docker.com/go/dockerfile/rule/no-empty-continuation/",
     .fires = "A blank line stands inside an instruction that is continued "
              "with a backslash.",
     .why = "The blank line looks like the end of the instruction and is not. "
            "Builders tolerate it today and say that they will not for ever.",
     .bad = "RUN apk add \\\n\n    curl",
     .good = "RUN apk add \\\n    curl"},
    {.id = RuleId::kMaintainerDeprecated,
     .name = "MaintainerDeprecated",
     .description = "The MAINTAINER instruction is deprecated, use a label "
                    "instead to define an image author",
     .url = "https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/",
     .fires = "MAINTAINER is used.",
     .why = "It sets a field of the image that few programs read. The label "
            "org.opencontainers.image.authors is the one that they look for.",
     .bad = "MAINTAINER someone@example.com",
     .good = "LABEL org.opencontainers.image.authors=\"someone@example.com\"",
     .judge_instruction = JudgeMaintainer},
    {.id = RuleId::kInvalidDefinitionDescription,
     .name = "InvalidDefinitionDescription",
     .description =
         "Comment for build stage or argument should follow the format: `# "
         "<arg/stage name> <description>`. If this is not intended to be a "
         "description comment, add an empty line or comment between the "
         "instruction and the comment.",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "invalid-definition-description/",
     .experimental = true,
     .fires = "The comment right above an ARG or a named FROM does not begin "
              "with the name of what it stands above.",
     .why = "`--call=outline` and `--call=targets` show such comments as "
            "descriptions, and know them by the name. An empty comment line "
            "(#) keeps another comment apart from the instruction.",
     .bad = "# which compiler to use\nARG COMPILER=gcc",
     .good = "# COMPILER which compiler to use\nARG COMPILER=gcc",
     .judge_instruction = JudgeDefinitionDescription},
    {.id = RuleId::kLegacyKeyValueFormat,
     .name = "LegacyKeyValueFormat",
     .description =
         "Legacy key/value format with whitespace separator should not be used",
     .url =
         "https://docs.docker.com/go/dockerfile/rule/legacy-key-value-format/",
     .fires = "ENV or LABEL is written `ENV key value`, with a blank instead "
              "of an equals sign.",
     .why = "Everything behind the first blank is the value, so a second pair "
            "on the line silently becomes part of the first.",
     .bad = "ENV DEPTH 3 MODE fast",
     .good = "ENV DEPTH=3 MODE=fast"},
    {.id = RuleId::kJSONArgsRecommended,
     .name = "JSONArgsRecommended",
     .description = "JSON arguments recommended for ENTRYPOINT/CMD to prevent "
                    "unintended behavior related to OS signals",
     .url = "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/",
     .fires = "CMD or ENTRYPOINT has a command in shell form, and no SHELL is "
              "set.",
     .why = "The shell form runs `/bin/sh -c`. The shell is then process 1 "
            "and gets the signals, and many shells do not pass them on: the "
            "container stops only when it is killed. An explicit SHELL says "
            "that this is meant.",
     .bad = "CMD my-server --port 80",
     .good = "CMD [\"my-server\", \"--port\", \"80\"]"},
    {.id = RuleId::kMultipleInstructionsDisallowed,
     .name = "MultipleInstructionsDisallowed",
     .description = "Multiple instructions of the same type should not be used "
                    "in the same stage",
     .url = "https://docs.docker.com/go/dockerfile/rule/"
            "multiple-instructions-disallowed/",
     .fires = "A stage has a second CMD, ENTRYPOINT or HEALTHCHECK; the "
              "earlier one is reported.",
     .why = "Only the last one counts. The earlier one does nothing.",
     .bad = "FROM alpine\nENTRYPOINT [\"echo\", \"a\"]\n"
            "ENTRYPOINT [\"echo\", \"b\"]",
     .good = "FROM alpine\nENTRYPOINT [\"echo\", \"b\"]"},
    {.id = RuleId::kExposeProtoCasing,
     .name = "ExposeProtoCasing",
     .description = "Protocol in EXPOSE instruction should be lowercase",
     .url = "https://docs.docker.com/go/dockerfile/rule/expose-proto-casing/",
     .fires = "The protocol of a port has a capital letter.",
     .why = "It is stored in lower case; writing it so keeps the Dockerfile "
            "and the image alike.",
     .bad = "EXPOSE 80/TCP",
     .good = "EXPOSE 80/tcp"},
    {.id = RuleId::kExposeInvalidFormat,
     .name = "ExposeInvalidFormat",
     .description =
         "IP address and host-port mapping should not be used in EXPOSE "
         "instruction. This will become an error in a future release",
     .url = "https://docs.docker.com/go/dockerfile/rule/expose-invalid-format/",
     .fires = "EXPOSE names an address or a port of the host.",
     .why = "Where a port is published is decided when a container is run "
            "(`run -p`); an image only knows the container's port. The rest "
            "is dropped.",
     .bad = "EXPOSE 127.0.0.1:80:80",
     .good = "EXPOSE 80"},
};

}  // namespace

std::span<const Rule> FormRules() { return kRules; }

}  // namespace imgbuild::dockerfile
