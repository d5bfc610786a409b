// BuildKit's source policy: a JSON file of rules that allow, deny or convert
// what a build takes from outside. Read as BuildKit 0.11 and later read it,
// with two differences, both on the strict side: a key that is not known is an
// error, and "matchType" is taken for "match_type" (BuildKit's JSON reader
// knows only the latter and passes over the other without a word). Pure.
//
//   {"version": 1,
//    "rules": [
//      {"action": "CONVERT",
//       "selector": {"identifier": "docker-image://docker.io/library/alpine:*",
//                    "match_type": "WILDCARD"},
//       "updates": {"identifier": "docker-image://mirror/alpine:${1}",
//                   "attrs": {"http.checksum": "sha256:…"}}}]}
//
// What is asked about (checked against BuildKit 0.25):
//   docker-image://docker.io/library/alpine:3.20   a name with its tag
//   https://host/file                              attr http.checksum
//   git://host/repository#ref:subdir               ADD of a repository
//   local://context, local://dockerfile, local://NAME
#ifndef IMGBUILD_LOCK_SOURCE_POLICY_H_
#define IMGBUILD_LOCK_SOURCE_POLICY_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/reference.h"
#include "imgbuild/util/source.h"

namespace imgbuild::lock {

inline constexpr size_t kMaxSourcePolicyBytes = 16u << 20;
// Conversions of one source; one more is an error (a circle).
inline constexpr int kMaxConversions = 20;

struct PolicySource {
  std::string identifier;  // with its scheme
  std::map<std::string, std::string> attrs;
  bool operator==(const PolicySource&) const = default;
};

struct PolicyRule {
  enum class Action { kAllow, kDeny, kConvert };
  enum class Match { kWildcard, kExact, kRegex };
  struct Constraint {
    enum class Condition { kEqual, kNotEqual, kMatches };
    std::string key;
    std::string value;
    Condition condition = Condition::kEqual;
    SourceRange range;
  };
  Action action = Action::kAllow;
  Match match = Match::kWildcard;
  std::string identifier;
  std::vector<Constraint> constraints;
  // kConvert. An empty identifier stands for the selector's.
  std::string to;
  std::map<std::string, std::string> attrs;
  SourceRange range;  // of the selector's identifier
};

// Immutable, thread-safe.
class SourcePolicy {
 public:
  // Throws Error(kDockerfile) at the place: no JSON, a key, an action or a
  // condition that is not known, an expression that does not compile, a
  // CONVERT without updates, "**".
  static SourcePolicy Parse(std::shared_ptr<const SourceFile> source);
  explicit SourcePolicy(std::vector<PolicyRule> rules);
  SourcePolicy(const SourcePolicy&);
  SourcePolicy(SourcePolicy&&) noexcept;
  SourcePolicy& operator=(SourcePolicy&&) noexcept;
  ~SourcePolicy();

  const std::vector<PolicyRule>& rules() const;

  // What the source becomes. The rules are gone through in order: the last
  // ALLOW or DENY that matches wins; a CONVERT that changes something begins
  // anew with what it made. Throws Error(kPolicy) without a place when it is
  // denied (the frame names the rule) or converted without end.
  PolicySource Evaluate(PolicySource source) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

// "docker-image://…" of a name with its default tag, its digest included.
std::string PolicyIdentifier(const oci::Reference& image);
// Back again; nullopt for another scheme or a name that is none.
std::optional<oci::Reference> ImageOfIdentifier(std::string_view identifier);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_SOURCE_POLICY_H_
