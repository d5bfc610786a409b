// The rules about FROM lines: variables and platforms.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "plan/lint_findings.h"
#include "plan/scope.h"

namespace imgbuild::plan {
namespace {

using dockerfile::Finding;
using dockerfile::RuleId;

// Would FROM name an image if nobody gave a --build-arg?
void JudgeDefaults(const dockerfile::Dockerfile& file,
                   const PlanOptions& options, const std::string& target_stage,
                   std::vector<Finding>& out) {
  PlanOptions without = options;
  without.build_args.clear();
  const GlobalArgs globals(file, without, target_stage);
  for (const dockerfile::Stage& stage : file.stages) {
    const auto& from = std::get<dockerfile::From>(stage.from.node);
    const std::string image =
        dockerfile::Expand(from.image, globals.variables().AsLookup(),
                           file.escape)
            .text;
    if (oci::Reference::TryParse(image)) continue;
    // A name that no variable made is an error of its own.
    if (image == from.image.text) continue;
    out.push_back({RuleId::kInvalidDefaultArgInFrom,
                   fmt::format("Default value for ARG {} results in empty or "
                               "invalid base image name",
                               from.image.text),
                   stage.from.range, from.image.range});
  }
}

void ReportUndeclared(const dockerfile::ExpandResult& expanded,
                      const GlobalArgs& globals, const SourceRange& range,
                      const SourceRange& focus, std::vector<Finding>& out) {
  for (const std::string& name : expanded.unmatched) {
    if (globals.Declared(name)) continue;
    std::string message =
        fmt::format("FROM argument '{}' is not declared", name);
    if (const auto near = Suggest(name, globals.Names())) {
      message += fmt::format(" (did you mean {}?)", *near);
    }
    out.push_back(
        {RuleId::kUndefinedArgInFrom, std::move(message), range, focus});
  }
}

void JudgePlatform(const dockerfile::From& from, const SourceRange& range,
                   const dockerfile::ExpandResult& expanded,
                   const GlobalArgs& globals, std::vector<Finding>& out) {
  const dockerfile::Word& word = *from.platform;
  if (expanded.matched.size() == 1 && expanded.unmatched.empty() &&
      expanded.matched.contains("TARGETPLATFORM") &&
      globals.variables().Find("TARGETPLATFORM") == expanded.text) {
    out.push_back({RuleId::kRedundantTargetPlatform,
                   fmt::format("Setting platform to predefined {} in FROM is "
                               "redundant as this is the default behavior",
                               word.text),
                   range, word.range});
  }
  if (!expanded.matched.empty() || !expanded.unmatched.empty()) return;
  oci::Platform platform;
  try {
    platform = oci::Platform::Parse(expanded.text);
  } catch (const Error&) {
    return;  // planning says what is wrong with it
  }
  const std::string name = from.name ? from.name->text : "";
  if (name.find(platform.os) != std::string::npos ||
      name.find(platform.architecture) != std::string::npos) {
    return;
  }
  out.push_back({RuleId::kFromPlatformFlagConstDisallowed,
                 fmt::format("FROM --platform flag should not use constant "
                             "value {}",
                             Quoted(expanded.text)),
                 range, word.range});
}

}  // namespace

void LintFroms(const dockerfile::Dockerfile& file, const PlanOptions& options,
               const std::string& target_stage, const GlobalArgs& globals,
               std::vector<Finding>& out) {
  try {
    JudgeDefaults(file, options, target_stage, out);
  } catch (const Error&) {
    // ${TAG:?} asks for a --build-arg on purpose.
  }
  const dockerfile::Lookup lookup = globals.variables().AsLookup();
  for (const dockerfile::Stage& stage : file.stages) {
    const auto& from = std::get<dockerfile::From>(stage.from.node);
    const SourceRange& range = stage.from.range;
    try {
      ReportUndeclared(dockerfile::Expand(from.image, lookup, file.escape),
                       globals, range, from.image.range, out);
      if (!from.platform) continue;
      const dockerfile::ExpandResult platform =
          dockerfile::Expand(*from.platform, lookup, file.escape);
      ReportUndeclared(platform, globals, range, from.platform->range, out);
      JudgePlatform(from, range, platform, globals, out);
    } catch (const Error&) {
      return;  // planning stops here too
    }
  }
}

}  // namespace imgbuild::plan
