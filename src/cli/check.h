// `imgbuild check` and `build --check`: one way to judge, two ways to ask.
#ifndef IMGBUILD_CLI_CHECK_H_
#define IMGBUILD_CLI_CHECK_H_

#include <functional>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/lint.h"
#include "imgbuild/plan/build_graph.h"

#include "cli/app.h"
#include "cli/build_input.h"
#include "cli/build_options.h"

namespace imgbuild::cli {

enum class ReportFormat { kText, kJson, kSarif };
// Throws Error(kUsage) with the nearest name.
ReportFormat ParseReportFormat(const std::string& text);

// Judges, prints to standard output, and returns the exit status: 0 when
// nothing was found, 3 otherwise. What a build would refuse is thrown after
// the findings were printed. `offline`: the store is asked for base images, no
// registry is.
int RunCheck(App& app, const BuildFlags& flags, ReportFormat format,
             bool offline);

// For PlanOptions::hidden_by_ignore_file: reads the ignore file when it is
// first asked. `input` must outlive it.
std::function<bool(const std::string& path)> IgnoreProbe(
    const BuildInput& input);

// What an ordinary build tells: of the text's rules and the plan's.
std::vector<dockerfile::Finding> BuildFindings(
    const dockerfile::Dockerfile& file, const dockerfile::CheckOptions& checks,
    const plan::BuildGraph& graph);
// Of the build argument, else of the directive.
dockerfile::CheckOptions CheckOptionsOf(const dockerfile::Dockerfile& file,
                                        const plan::PlanOptions& options);
// Throws Error(kDockerfile) when there are findings and error=true.
void FailOnFindings(const dockerfile::CheckOptions& checks,
                    const std::vector<dockerfile::Finding>& findings);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_CHECK_H_
