// Would exec() of a program find it and understand it? Asked before the
// runtime is started: the answer is exact and worded for people, and costs a
// few openat2 calls. Runtimes tell the same in words and exit codes of their
// own, sometimes not at all.
#ifndef IMGBUILD_SRC_EXEC_PROGRAM_CHECK_H_
#define IMGBUILD_SRC_EXEC_PROGRAM_CHECK_H_

#include <optional>
#include <string>

#include "imgbuild/exec/executor.h"

namespace imgbuild::exec {

// The reason (start_error with exit code 127 or 126) why spec.args[0] cannot
// run in the mounted root file system; nullopt when it can, or when a mount
// of the spec may provide it.
std::optional<ExitResult> CheckProgram(const ProcessSpec& spec, int root_fd);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_PROGRAM_CHECK_H_
