#include "imgbuild/lock/source_policy.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "lock/policy_regexp.h"

namespace imgbuild::lock {
namespace {

constexpr std::string_view kImageScheme = "docker-image://";

using Action = PolicyRule::Action;
using Match = PolicyRule::Match;
using Condition = PolicyRule::Constraint::Condition;

struct CompiledConstraint {
  PolicyRule::Constraint rule;
  std::optional<PolicyRegexp> regexp;
};

struct CompiledRule {
  std::optional<PolicyRegexp> regexp;
  std::vector<CompiledConstraint> constraints;
};

bool Holds(const CompiledConstraint& constraint, const PolicySource& source) {
  const auto it = source.attrs.find(constraint.rule.key);
  const std::string value = it == source.attrs.end() ? "" : it->second;
  switch (constraint.rule.condition) {
    case Condition::kEqual:
      return value == constraint.rule.value;
    case Condition::kNotEqual:
      return value != constraint.rule.value;
    case Condition::kMatches:
      return constraint.regexp->Matches(value);
  }
  return false;
}

CompiledRule Compile(const PolicyRule& rule) {
  CompiledRule out;
  try {
    if (rule.match == Match::kRegex) {
      out.regexp = PolicyRegexp::Compile(rule.identifier);
    } else if (rule.match == Match::kWildcard) {
      out.regexp = PolicyRegexp::CompileWildcard(rule.identifier);
    }
  } catch (Error& error) {
    throw error.At(rule.range);
  }
  for (const PolicyRule::Constraint& constraint : rule.constraints) {
    CompiledConstraint compiled{constraint, std::nullopt};
    if (constraint.condition == Condition::kMatches) {
      try {
        compiled.regexp = PolicyRegexp::Compile(constraint.value);
      } catch (Error& error) {
        throw error.At(constraint.range);
      }
    }
    out.constraints.push_back(std::move(compiled));
  }
  return out;
}

bool Matches(const PolicyRule& rule, const CompiledRule& compiled,
             const PolicySource& source) {
  for (const CompiledConstraint& constraint : compiled.constraints) {
    if (!Holds(constraint, source)) return false;
  }
  if (rule.identifier == source.identifier) return true;
  return compiled.regexp && compiled.regexp->Matches(source.identifier);
}

// False when it changes nothing.
bool Convert(const PolicyRule& rule, const CompiledRule& compiled,
             PolicySource& source) {
  PolicySource made = source;
  const std::string& to = rule.to.empty() ? rule.identifier : rule.to;
  std::string identifier = to;
  if (rule.match != Match::kExact) {
    // A source that equals the selector but does not match it as a pattern
    // ('(' or a '*' in it) stays what it is, as in BuildKit.
    identifier = compiled.regexp->Matches(source.identifier)
                     ? compiled.regexp->ReplaceAll(source.identifier, to)
                     : source.identifier;
  }
  if (!identifier.empty()) made.identifier = std::move(identifier);
  for (const auto& [key, value] : rule.attrs) made.attrs[key] = value;
  if (made == source) return false;
  source = std::move(made);
  return true;
}

}  // namespace

struct SourcePolicy::Compiled {
  std::vector<PolicyRule> rules;
  std::vector<CompiledRule> compiled;  // beside each
};

SourcePolicy::SourcePolicy(std::vector<PolicyRule> rules) {
  auto made = std::make_shared<Compiled>();
  for (const PolicyRule& rule : rules) {
    made->compiled.push_back(Compile(rule));
  }
  made->rules = std::move(rules);
  compiled_ = std::move(made);
}
SourcePolicy::SourcePolicy(const SourcePolicy&) = default;
SourcePolicy::SourcePolicy(SourcePolicy&&) noexcept = default;
SourcePolicy& SourcePolicy::operator=(SourcePolicy&&) noexcept = default;
SourcePolicy::~SourcePolicy() = default;

const std::vector<PolicyRule>& SourcePolicy::rules() const {
  return compiled_->rules;
}

PolicySource SourcePolicy::Evaluate(PolicySource source) const {
  const std::string asked = source.identifier;
  for (int conversions = 0; conversions <= kMaxConversions;) {
    const PolicyRule* denied_by = nullptr;
    bool converted = false;
    for (size_t i = 0; i < compiled_->rules.size() && !converted; ++i) {
      const PolicyRule& rule = compiled_->rules[i];
      if (!Matches(rule, compiled_->compiled[i], source)) continue;
      if (rule.action == Action::kConvert) {
        converted = Convert(rule, compiled_->compiled[i], source);
      } else {
        denied_by = rule.action == Action::kDeny ? &rule : nullptr;
      }
    }
    if (converted) {
      ++conversions;
      continue;
    }
    if (denied_by == nullptr) return source;
    Error error(ErrorCode::kPolicy,
                source.identifier == asked
                    ? fmt::format("the source policy denies {}", asked)
                    : fmt::format("the source policy makes {} of {}, and "
                                  "denies that",
                                  source.identifier, asked));
    throw error.While(fmt::format("by the rule at {}",
                                  denied_by->range ? denied_by->range.ToString()
                                                   : denied_by->identifier));
  }
  throw Error(ErrorCode::kPolicy,
              fmt::format("the source policy converts {} more than {} times",
                          asked, kMaxConversions))
      .WithHint("its CONVERT rules lead in a circle");
}

std::string PolicyIdentifier(const oci::Reference& image) {
  return std::string(kImageScheme) + image.WithDefaultTag().ToString();
}

std::optional<oci::Reference> ImageOfIdentifier(std::string_view identifier) {
  if (!identifier.starts_with(kImageScheme)) return std::nullopt;
  return oci::Reference::TryParse(identifier.substr(kImageScheme.size()));
}

}  // namespace imgbuild::lock
