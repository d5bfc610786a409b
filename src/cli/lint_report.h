// What the checks found, as text, JSON, SARIF, and as the summary at the end
// of a build.
#ifndef IMGBUILD_CLI_LINT_REPORT_H_
#define IMGBUILD_CLI_LINT_REPORT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/plan/lint.h"
#include "imgbuild/util/source.h"

namespace imgbuild::cli {

struct CheckResult {
  std::shared_ptr<const SourceFile> source;
  std::vector<dockerfile::Finding> findings;  // those that are told
  std::vector<plan::UnresolvedImage> unresolved;
  // Why a build would fail, if it would.
  std::optional<Error> error;
};

// As `docker build --check` prints it: a count, then each finding with the
// lines that are meant, by line.
std::string CheckText(const CheckResult& result);
// As `docker build --call=check,format=json`, without the build definition;
// with `unjudged` where images could not be had.
std::string CheckJson(const CheckResult& result);
// The error is a result of the rule BuildError.
std::string CheckSarif(const CheckResult& result);

// What could not be judged and why, one line an image; "" for nothing.
std::string UnjudgedNote(const CheckResult& result);

// " 2 warnings found …" and a line for each; "" for none. `color` marks the
// count.
std::string BuildSummary(const std::vector<dockerfile::Finding>& findings,
                         bool color);
// "StageNameCasing: Stage name 'X' should be lowercase (line 2)".
std::string OneLine(const dockerfile::Finding& finding);

// The page of one rule, and the list of all.
std::string RulePage(const dockerfile::Rule& rule);
std::string RuleList();

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LINT_REPORT_H_
