// The system calls a container may make: Docker's default profile, as a table,
// in the two forms that runtimes take.
#ifndef IMGBUILD_SRC_EXEC_SECCOMP_PROFILE_H_
#define IMGBUILD_SRC_EXEC_SECCOMP_PROFILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "exec/capabilities.h"

namespace imgbuild::exec {

// On a call's first argument.
struct SeccompCondition {
  enum class Comparison { kEqual, kLess, kNoneOf };  // kNoneOf: of these bits
  Comparison comparison = Comparison::kEqual;
  uint64_t value = 0;
};

struct SeccompRule {
  std::vector<std::string> names;
  int error = 0;  // 0: allowed; else what the calls fail with
  std::optional<SeccompCondition> condition;
};

// What no rule names fails with EPERM. Some calls depend on the capabilities.
std::vector<SeccompRule> SeccompRules(CapabilitySet capabilities);

// The "seccomp" object of config.json for this machine's architecture.
std::string SeccompJson(const std::vector<SeccompRule>& rules);

// The filter program itself. A runtime compiles the JSON anew for every
// container, which takes longer than all the rest of a start together.
std::string CompileSeccomp(const std::vector<SeccompRule>& rules);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_SECCOMP_PROFILE_H_
