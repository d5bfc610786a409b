// Go's regexp over RE2, as far as source policies use it: matching, and
// replacement with templates.
#ifndef IMGBUILD_SRC_LOCK_POLICY_REGEXP_H_
#define IMGBUILD_SRC_LOCK_POLICY_REGEXP_H_

#include <memory>
#include <string>
#include <string_view>

namespace imgbuild::lock {

// Immutable, thread-safe; time is linear in the text.
class PolicyRegexp {
 public:
  // Throws Error(kDockerfile) with the reason, without a place.
  static PolicyRegexp Compile(const std::string& expression);
  // BuildKit's wildcards: '*' is any text and counts as a group, from 1.
  static PolicyRegexp CompileWildcard(const std::string& pattern);
  PolicyRegexp(PolicyRegexp&&) noexcept;
  PolicyRegexp& operator=(PolicyRegexp&&) noexcept;
  ~PolicyRegexp();

  // Whether a match begins anywhere.
  bool Matches(std::string_view text) const;
  // regexp.ReplaceAllString: every match gives way to the template, in which
  // $1, ${1} and ${name} are groups and $$ is a dollar.
  std::string ReplaceAll(std::string_view text, std::string_view form) const;

 private:
  struct Impl;
  explicit PolicyRegexp(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgbuild::lock

#endif  // IMGBUILD_SRC_LOCK_POLICY_REGEXP_H_
