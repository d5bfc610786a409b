// --ulimit, as people write it.
#ifndef IMGBUILD_EXEC_ULIMIT_H_
#define IMGBUILD_EXEC_ULIMIT_H_

#include <string>

#include "imgbuild/exec/executor.h"

namespace imgbuild::exec {

// "nofile=1024:2048", "nofile=1024", "core=unlimited" (or -1). Throws
// Error(kUsage): an unknown name (with the nearest), no number, a soft limit
// above the hard one.
ResourceLimits::Ulimit ParseUlimit(const std::string& text);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_ULIMIT_H_
