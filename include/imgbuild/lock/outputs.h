// [[output]]: which recorded manifest a build is compared with. Pure.
#ifndef IMGBUILD_LOCK_OUTPUTS_H_
#define IMGBUILD_LOCK_OUTPUTS_H_

#include <map>
#include <optional>
#include <string>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/oci/digest.h"

namespace imgbuild::lock {

// The variant whose arguments are exactly these, "" for none at all. nullopt:
// the lock has no such set.
std::optional<std::string> VariantOf(
    const Lockfile& lock, const std::map<std::string, std::string>& args);

// What of this key is recorded; nullptr: nothing.
const ExpectedOutput* FindOutput(const Lockfile& lock,
                                 const std::string& target,
                                 const std::string& platform,
                                 const std::string& variant);

// "this build made sha256:a; Dockerfile.lock expects sha256:b".
std::string DescribeMismatch(const Lockfile& lock,
                             const ExpectedOutput& expected,
                             const oci::Digest& made);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_OUTPUTS_H_
