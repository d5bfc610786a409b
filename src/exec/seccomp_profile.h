// The system calls a container may make: Docker's default profile, as a table.
#ifndef IMGBUILD_SRC_EXEC_SECCOMP_PROFILE_H_
#define IMGBUILD_SRC_EXEC_SECCOMP_PROFILE_H_

#include <string>

#include "exec/capabilities.h"

namespace imgbuild::exec {

// The "seccomp" object of config.json for this machine's architecture: what
// is not listed fails with EPERM; some calls depend on the capabilities.
std::string SeccompProfile(CapabilitySet capabilities);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_SECCOMP_PROFILE_H_
