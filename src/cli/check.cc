#include "cli/check.h"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "imgbuild/build/policy_resolver.h"
#include "imgbuild/context/context.h"
#include "imgbuild/context/ignore.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/plan/lint.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/include_files.h"
#include "cli/lazy_resolver.h"
#include "cli/lint_report.h"
#include "cli/lock_input.h"
#include "cli/policed_plan.h"

namespace imgbuild::cli {
namespace {

plan::LockLookup LookupIn(const std::optional<lock::Lockfile>& lock) {
  if (!lock) return nullptr;
  return [&lock](const oci::Reference& name) -> std::optional<oci::Digest> {
    const lock::ImagePin* pin = lock->FindImage(name);
    if (pin == nullptr) return std::nullopt;
    return pin->digest;
  };
}

transfer::PullPolicy PolicyOf(const BuildFlags& flags, bool offline) {
  if (offline) return transfer::PullPolicy::kNever;
  return flags.pull ? transfer::PullPolicy::kAlways
                    : transfer::PullPolicy::kMissing;
}

}  // namespace

ReportFormat ParseReportFormat(const std::string& text) {
  if (text == "text") return ReportFormat::kText;
  if (text == "json") return ReportFormat::kJson;
  if (text == "sarif") return ReportFormat::kSarif;
  Error error(ErrorCode::kUsage,
              fmt::format("unknown --format {}", Quoted(text)));
  const auto near = Suggest(text, {"text", "json", "sarif"});
  throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                            : "the formats are text, json and sarif");
}

std::function<bool(const std::string& path)> IgnoreProbe(
    const BuildInput& input) {
  struct State {
    bool read = false;
    context::PatternList patterns;
  };
  if (!input.context_fd) return nullptr;
  return [&input, state = std::make_shared<State>()](const std::string& path) {
    if (!std::exchange(state->read, true)) {
      const auto file = context::FindIgnoreFile(
          input.context_fd.get(), input.context_name, input.dockerfile_path);
      if (file) {
        state->patterns = context::PatternList::ParseIgnoreFile(file);
      }
    }
    // With exceptions nothing can be said of a name alone: what is below an
    // excluded directory may be there.
    if (state->patterns.empty() || state->patterns.has_exceptions()) {
      return false;
    }
    // `.*` matches "." by its letters, and yet hides little: the context as a
    // whole is hidden by what hides any name.
    return state->patterns.Match(path == "." ? "any name at all" : path)
        .excluded;
  };
}

dockerfile::CheckOptions CheckOptionsOf(const dockerfile::Dockerfile& file,
                                        const plan::PlanOptions& options) {
  const auto given = options.build_args.find("BUILDKIT_DOCKERFILE_CHECK");
  return dockerfile::EffectiveCheckOptions(
      file, given == options.build_args.end()
                ? std::nullopt
                : std::optional<std::string>(given->second));
}

std::vector<dockerfile::Finding> BuildFindings(
    const dockerfile::Dockerfile& file, const dockerfile::CheckOptions& checks,
    const plan::BuildGraph& graph) {
  constexpr auto kBuild = dockerfile::LintOccasion::kBuild;
  std::vector<dockerfile::Finding> findings = dockerfile::Lint({file, kBuild});
  findings.insert(findings.end(), graph.findings.begin(), graph.findings.end());
  return dockerfile::SelectFindings(file, checks, kBuild, std::move(findings));
}

void FailOnFindings(const dockerfile::CheckOptions& checks,
                    const std::vector<dockerfile::Finding>& findings) {
  if (!checks.error || findings.empty()) return;
  throw Error(ErrorCode::kDockerfile, "lint violation found for rules: " +
                                          dockerfile::RuleNames(findings))
      .WithHint("check=error=true asks for this; imgbuild check explains them");
}

int RunCheck(App& app, const BuildFlags& flags, ReportFormat format,
             bool offline) {
  ApplyLockFlags(app, flags);
  plan::PlanOptions options = ToPlanOptions(flags);
  NullProgress progress;
  const BuildInput input = ReadInput(app, flags, progress);
  options.hidden_by_ignore_file = IgnoreProbe(input);
  const dockerfile::Dockerfile file = ParseDockerfile(input);
  const dockerfile::CheckOptions checks = CheckOptionsOf(file, options);
  LazyResolver resolver(app, PolicyOf(flags, offline));
  const auto policy = LoadSourcePolicy(flags);
  std::optional<build::PolicyResolver> policed;
  if (policy) policed.emplace(*policy, resolver);
  const BuildLock lock = OpenLock(input, flags);
  plan::LintReport report = plan::Lint(
      file, options, LookupIn(lock.lock),
      policed ? static_cast<plan::ImageResolver&>(*policed) : resolver);
  CheckResult result{
      input.dockerfile,
      dockerfile::SelectFindings(file, checks, dockerfile::LintOccasion::kCheck,
                                 std::move(report.findings)),
      std::move(report.unresolved), std::move(report.error)};
  const std::string text = format == ReportFormat::kJson    ? CheckJson(result)
                           : format == ReportFormat::kSarif ? CheckSarif(result)
                                                            : CheckText(result);
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  std::fputs(UnjudgedNote(result).c_str(), stderr);
  if (result.error) throw Error(*result.error);
  // As a build would, before any step. The age of an image that could not be
  // had is the lock's, or no matter.
  lock::PolicyFacts facts =
      FactsOf(report.steps, lock.lock ? &*lock.lock : nullptr);
  for (const plan::UnresolvedImage& image : result.unresolved) {
    facts.created.erase(lock::KeyOf(image.name).ToString());
    if (lock.lock && lock.lock->FindImage(image.name) != nullptr) continue;
    facts.created[lock::KeyOf(image.name).ToString()] =
        FormatRfc3339(facts.now);
  }
  EnforcePolicies(lock.dockerfile_path, facts);
  return result.findings.empty() ? 0 : static_cast<int>(ErrorCode::kDockerfile);
}

}  // namespace imgbuild::cli
