#include "imgbuild/dockerfile/lint.h"

#include <algorithm>
#include <map>
#include <set>

#include "imgbuild/util/strings.h"

#include "dockerfile/lint_rules.h"

namespace imgbuild::dockerfile {
namespace {

constexpr std::string_view kOwnPrefix = "imgbuild/";

std::vector<Rule> AllRules() {
  std::vector<Rule> all;
  for (const auto family : {NamingRules(), FormRules(), ValueRules(),
                            PlatformRules(), OwnRules()}) {
    all.insert(all.end(), family.begin(), family.end());
  }
  std::ranges::sort(all, {}, &Rule::id);
  return all;
}

bool Names(const std::vector<std::string>& names, std::string_view rule) {
  return std::ranges::any_of(names, [&](const std::string& name) {
    return name == rule ||
           (name == "imgbuild/*" && rule.starts_with(kOwnPrefix));
  });
}

template <typename Visit>
void ForEachInstruction(const Dockerfile& file, const Visit& visit) {
  for (const Instruction& instruction : file.meta_args) visit(instruction);
  for (const Stage& stage : file.stages) {
    visit(stage.from);
    for (const Instruction& instruction : stage.instructions) {
      visit(instruction);
    }
  }
}

// What comments above instructions skip.
struct LocalSkip {
  uint32_t first_line = 0;
  uint32_t last_line = 0;
  std::vector<std::string> names;
};

// By file (a Dockerfile may include others), each in order.
using LocalSkips = std::map<const SourceFile*, std::vector<LocalSkip>>;

LocalSkips FindLocalSkips(const Dockerfile& file) {
  LocalSkips out;
  ForEachInstruction(file, [&](const Instruction& instruction) {
    if (instruction.comments.empty()) return;
    std::vector<std::string> names = SkippedAbove(instruction);
    if (names.empty()) return;
    out[instruction.range.file().get()].push_back(
        {instruction.range.begin().line, instruction.range.end().line,
         std::move(names)});
  });
  for (auto& [source, skips] : out) {
    std::ranges::sort(skips, {}, &LocalSkip::first_line);
  }
  return out;
}

bool SkippedLocally(const LocalSkips& all, const SourceRange& range,
                    std::string_view rule) {
  const auto of_file = all.find(range.file().get());
  if (of_file == all.end()) return false;
  const std::vector<LocalSkip>& skips = of_file->second;
  // The last one that begins at or before the line.
  const uint32_t line = range.begin().line;
  const auto after =
      std::ranges::upper_bound(skips, line, {}, &LocalSkip::first_line);
  if (after == skips.begin()) return false;
  const LocalSkip& skip = *std::prev(after);
  if (line > skip.last_line) return false;
  return Names(skip.names, rule) ||
         std::ranges::find(skip.names, "all") != skip.names.end();
}

}  // namespace

std::span<const Rule> Rules() {
  static const std::vector<Rule> rules = AllRules();
  return rules;
}

const Rule& RuleOf(RuleId id) { return Rules()[static_cast<size_t>(id)]; }

const Rule* FindRule(std::string_view name) {
  const auto rules = Rules();
  const auto it = std::ranges::find(rules, name, &Rule::name);
  return it == rules.end() ? nullptr : &*it;
}

std::optional<std::string> NearestRule(std::string_view name) {
  std::vector<std::string> names;
  for (const Rule& rule : Rules()) {
    const std::string own = std::string(kOwnPrefix) + std::string(name);
    if (EqualsIgnoreCase(rule.name, own)) return std::string(rule.name);
    names.emplace_back(rule.name);
  }
  if (auto near = Suggest(name, names)) return near;
  if (auto near = Suggest(std::string(kOwnPrefix) + std::string(name), names)) {
    return near;
  }
  constexpr size_t kEnough = 6;  // letters that are no coincidence
  std::optional<std::string> best;
  size_t longest = kEnough - 1;
  for (const std::string& candidate : names) {
    const auto [a, b] = std::ranges::mismatch(name, candidate);
    const auto length = static_cast<size_t>(a - name.begin());
    if (length <= longest || candidate.starts_with("imgbuild/")) continue;
    longest = length;
    best = candidate;
  }
  return best;
}

std::vector<Finding> Lint(const LintInput& input) {
  const Dockerfile& file = input.file;
  const bool all = input.occasion == LintOccasion::kCheck;
  std::vector<Finding> out;
  for (const ParseWarning& warning : file.warnings) {
    if (const Rule* rule = FindRule(warning.rule)) {
      out.push_back({rule->id, warning.message, warning.range, {}});
    }
  }
  ForEachInstruction(file, [&](const Instruction& instruction) {
    for (const Rule& rule : Rules()) {
      if (rule.judge_instruction != nullptr && (all || !rule.check_only)) {
        rule.judge_instruction(instruction, out);
      }
    }
  });
  for (const Rule& rule : Rules()) {
    if (rule.judge_file != nullptr && (all || !rule.check_only)) {
      rule.judge_file(input, out);
    }
  }
  return out;
}

CheckOptions EffectiveCheckOptions(
    const Dockerfile& file, const std::optional<std::string>& build_arg) {
  if (build_arg) {
    if (Trim(*build_arg).empty()) return {};
    return ParseCheckOptions({*build_arg, {}});
  }
  for (const Directive& directive : file.directives) {
    if (directive.name == "check") {
      return ParseCheckOptions(DirectiveValue(directive));
    }
  }
  return {};
}

std::vector<Finding> SelectFindings(const Dockerfile& file,
                                    const CheckOptions& options,
                                    LintOccasion occasion,
                                    std::vector<Finding> findings) {
  if (findings.empty()) return findings;
  const LocalSkips skips = FindLocalSkips(file);
  std::erase_if(findings, [&](const Finding& finding) {
    const Rule& rule = RuleOf(finding.rule);
    if (rule.check_only && occasion == LintOccasion::kBuild) return true;
    // Asking for an experimental rule outweighs skipping it, as in BuildKit.
    const bool asked =
        options.experimental_all || Names(options.experimental, rule.name);
    if (rule.experimental) {
      if (!asked) return true;
    } else if (options.skip_all || Names(options.skip, rule.name)) {
      return true;
    }
    return SkippedLocally(skips, finding.range, rule.name);
  });
  return findings;
}

std::string RuleNames(const std::vector<Finding>& findings) {
  std::set<std::string> names;
  for (const Finding& finding : findings) {
    names.emplace(RuleOf(finding.rule).name);
  }
  return Join({names.begin(), names.end()}, ", ");
}

}  // namespace imgbuild::dockerfile
