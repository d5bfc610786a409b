// `imgbuild check`.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/check.h"
#include "cli/commands.h"
#include "cli/lint_report.h"

namespace imgbuild::cli {
namespace {

// Names in any case, and ours without their prefix.
const dockerfile::Rule& RuleNamed(const std::string& name) {
  for (const dockerfile::Rule& rule : dockerfile::Rules()) {
    const std::string own = "imgbuild/" + name;
    if (EqualsIgnoreCase(rule.name, name) || EqualsIgnoreCase(rule.name, own)) {
      return rule;
    }
  }
  Error error(ErrorCode::kUsage,
              fmt::format("there is no check called {}", Quoted(name)));
  const auto near = dockerfile::NearestRule(name);
  throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                            : "imgbuild check --rules lists them");
}

}  // namespace

int CheckCommand(App& app, const Words& words) {
  BuildFlags flags;
  flags.context = ".";
  std::string explain;
  bool list = false;
  bool offline = false;
  Args args("check [OPTIONS] [PATH]",
            "Find what is wrong or unwise in a Dockerfile, without building.");
  args.Value("-f,--file", &flags.file, "FILE",
             "the Dockerfile (default: PATH/Dockerfile; - is standard input)");
  args.List("--build-arg", &flags.build_args, "NAME[=VALUE]",
            "value of an ARG; BUILDKIT_DOCKERFILE_CHECK=… chooses checks");
  args.List("--build-context", &flags.build_contexts, "NAME=VALUE",
            "a further context, as build takes it");
  args.Value("--target", &flags.target, "STAGE",
             "judge what this stage needs (default: every stage)");
  args.Value("--platform", &flags.platform, "OS/ARCH[/VARIANT]",
             "what the image is for");
  args.Value("--format", &flags.format, "FORMAT", "text, json or sarif");
  args.Flag("--offline", &offline, "ask no registry about base images");
  args.Value("--explain", &explain, "RULE", "what a check is about");
  args.Flag("--rules", &list, "list the checks");
  args.Positional("PATH", &flags.context, false,
                  "the build context (default: the current directory)");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (!explain.empty()) {
    std::fputs(RulePage(RuleNamed(explain)).c_str(), stdout);
    return 0;
  }
  if (list) {
    std::fputs(RuleList().c_str(), stdout);
    return 0;
  }
  return RunCheck(app, flags, ParseReportFormat(flags.format), offline);
}

}  // namespace imgbuild::cli
