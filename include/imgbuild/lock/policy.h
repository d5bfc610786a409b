// [policy]: what a build of this Dockerfile may name, in the lock or in
// `imgbuild.toml` beside the Dockerfile. Pure: facts in, findings out; who asks
// has read the files and knows the time.
//
//   [policy]
//   registries = ["docker.io/library", "ghcr.io/acme", "*.acme.example"]
//   require-digest = true          # by the lock or in the Dockerfile
//   max-pin-age = "90d"            # of the image behind a pin: h, d or w
//   require-checksum = true        # ADD of URLs and repositories
//   run-network = "off"            # RUN without --network=none is refused …
//   run-network-stages = ["deps"]  # … but in these stages
#ifndef IMGBUILD_LOCK_POLICY_H_
#define IMGBUILD_LOCK_POLICY_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/source.h"

namespace imgbuild::lock {

inline constexpr size_t kMaxPolicyBytes = 1u << 20;

struct Policy {
  // HOST[/PATH], a host perhaps "*.domain": the repositories at or below it.
  // Empty: all.
  std::vector<std::string> registries;
  bool require_digest = false;
  std::optional<int64_t> max_pin_age;  // seconds
  bool require_checksum = false;
  bool run_network_off = false;
  std::vector<std::string> run_network_stages;
  // Of the key that says so, by its name: for the findings.
  std::map<std::string, SourceRange> ranges;
};

// A policy file: [policy] and nothing else. Throws Error(kDockerfile) at the
// place: no TOML, a key or a value that is not known.
Policy ParsePolicyFile(const std::shared_ptr<const SourceFile>& source);
// The [policy] of a lock, at its lines there; nullopt without one.
std::optional<Policy> PolicyOf(const Lockfile& lockfile);

// One RUN of the plan.
struct RunFact {
  std::string stage;    // its name or number
  std::string network;  // "none", "default", "host"
  SourceRange range;
};

struct PolicyFacts {
  std::vector<UsedName> used;
  std::vector<RunFact> runs;
  // What pins names besides their own digests and checksums; may be null.
  const Lockfile* lockfile = nullptr;
  // By UsedName::name: `created` of the image that was resolved for it.
  std::map<std::string, std::string> created;
  int64_t now = 0;  // seconds since 1970
};

struct PolicyFinding {
  std::string rule;  // the key: "require-digest"
  std::string message;
  std::string hint;
  SourceRange range;       // in the Dockerfile
  SourceRange rule_range;  // in the policy
};

// In the order of the facts, names first; each place once a rule.
std::vector<PolicyFinding> EvaluatePolicy(const Policy& policy,
                                          const PolicyFacts& facts);

// As Error(kPolicy) at its place, the rule in its frame.
Error ToError(const PolicyFinding& finding);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_POLICY_H_
