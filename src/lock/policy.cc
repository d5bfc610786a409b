#include "imgbuild/lock/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::lock {
namespace {

bool HostMatches(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return pattern == host;
  return host.ends_with(pattern.substr(1));
}

bool IsAllowed(const std::string& entry, const oci::Repository& repository) {
  const size_t slash = std::min(entry.find('/'), entry.size());
  if (!HostMatches(std::string_view(entry).substr(0, slash),
                   repository.domain())) {
    return false;
  }
  if (slash == entry.size()) return true;
  const std::string path = entry.substr(slash + 1);
  return repository.path() == path || repository.path().starts_with(path + "/");
}

class Evaluator {
 public:
  Evaluator(const Policy& policy, const PolicyFacts& facts)
      : policy_(policy), facts_(facts) {}

  std::vector<PolicyFinding> Evaluate() {
    for (const UsedName& used : facts_.used) {
      if (used.kind == Kind::kFrontend) continue;
      if (used.kind == Kind::kImage) {
        CheckRegistry(used);
        CheckDigest(used);
        CheckAge(used);
      } else {
        CheckChecksum(used);
      }
    }
    for (const RunFact& run : facts_.runs) CheckNetwork(run);
    return std::move(findings_);
  }

 private:
  void Add(const char* rule, const SourceRange& range, std::string message,
           std::string hint) {
    if (!seen_.emplace(rule, range.begin(), message).second) return;
    const auto it = policy_.ranges.find(rule);
    findings_.push_back(
        {rule, std::move(message), std::move(hint), range,
         it == policy_.ranges.end() ? SourceRange() : it->second});
  }

  void CheckRegistry(const UsedName& used) {
    if (policy_.registries.empty()) return;
    for (const std::string& entry : policy_.registries) {
      if (IsAllowed(entry, used.image->repository())) return;
    }
    Add("registries", used.range,
        fmt::format("{} comes from a registry that the policy does not allow",
                    used.image->repository().ToString()),
        "allowed are " + Join(policy_.registries, ", "));
  }

  const ImagePin* PinOf(const UsedName& used) const {
    return facts_.lockfile == nullptr ? nullptr
                                      : facts_.lockfile->FindImage(*used.image);
  }

  void CheckDigest(const UsedName& used) {
    if (!policy_.require_digest || used.image->digest() ||
        PinOf(used) != nullptr) {
      return;
    }
    Add("require-digest", used.range,
        fmt::format("{} is not pinned to a digest", used.name),
        "imgbuild lock pins it in the lock, imgbuild pin in the Dockerfile");
  }

  std::string CreatedOf(const UsedName& used) const {
    const auto it = facts_.created.find(used.name);
    if (it != facts_.created.end()) return it->second;
    const ImagePin* pin = PinOf(used);
    if (pin == nullptr) return "";
    const auto platform = pin->platforms.find(used.platform.ToString());
    return platform == pin->platforms.end() ? "" : platform->second.created;
  }

  void CheckAge(const UsedName& used) {
    // A name that is pinned by nothing is new whenever it is built.
    if (!policy_.max_pin_age ||
        (!used.image->digest() && PinOf(used) == nullptr)) {
      return;
    }
    const auto created = ParseRfc3339(CreatedOf(used));
    if (!created) {
      Add("max-pin-age", used.range,
          fmt::format("the age of {} cannot be told: the image has no date",
                      used.name),
          "leave max-pin-age out, or use an image that has one");
      return;
    }
    const int64_t age = facts_.now - *created;
    if (age <= *policy_.max_pin_age) return;
    Add("max-pin-age", used.range,
        fmt::format("{} is pinned to an image that is {} old; at most {} are "
                    "allowed",
                    used.name, HumanDuration(age),
                    HumanDuration(*policy_.max_pin_age)),
        used.image->digest() ? "imgbuild pin --update looks for a newer one"
                             : "imgbuild lock --update looks for a newer one");
  }

  bool HasChecksum(const UsedName& used) const {
    if (!used.own_checksum.empty()) return true;
    if (facts_.lockfile == nullptr) return false;
    return used.kind == Kind::kUrl
               ? facts_.lockfile->FindUrl(used.name) != nullptr
               : facts_.lockfile->FindGit(used.name) != nullptr;
  }

  void CheckChecksum(const UsedName& used) {
    if (!policy_.require_checksum || HasChecksum(used)) return;
    Add("require-checksum", used.range,
        fmt::format("{} has no checksum", used.name),
        used.kind == Kind::kUrl
            ? "write ADD --checksum=sha256:…, or let imgbuild lock record it"
            : "name the full commit, or let imgbuild lock record it");
  }

  void CheckNetwork(const RunFact& run) {
    if (!policy_.run_network_off || run.network == "none") return;
    const auto& stages = policy_.run_network_stages;
    if (std::ranges::find(stages, run.stage) != stages.end()) return;
    Add("run-network", run.range, "this RUN has network",
        fmt::format("write RUN --network=none, or name the stage {} in "
                    "run-network-stages",
                    Quoted(run.stage)));
  }

  const Policy& policy_;
  const PolicyFacts& facts_;
  std::vector<PolicyFinding> findings_;
  std::set<std::tuple<std::string, SourcePos, std::string>> seen_;
};

}  // namespace

std::vector<PolicyFinding> EvaluatePolicy(const Policy& policy,
                                          const PolicyFacts& facts) {
  return Evaluator(policy, facts).Evaluate();
}

Error ToError(const PolicyFinding& finding) {
  Error error(ErrorCode::kPolicy, finding.message);
  error.At(finding.range);
  if (!finding.hint.empty()) error.WithHint(finding.hint);
  if (finding.rule_range) {
    error.While(fmt::format("by {} at {}", finding.rule,
                            finding.rule_range.ToString()));
  }
  return error;
}

}  // namespace imgbuild::lock
