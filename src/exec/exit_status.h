// What a runtime's end means: the command's own exit, or a start that failed.
#ifndef IMGBUILD_SRC_EXEC_EXIT_STATUS_H_
#define IMGBUILD_SRC_EXEC_EXIT_STATUS_H_

#include <string>
#include <string_view>

#include "imgbuild/exec/executor.h"

namespace imgbuild::exec {

// `status` is wait()'s, `log` the runtime's log (one JSON object a line).
// Throws Error(kHost) when the runtime failed for a reason that is not the
// program's: its message, cleaned up, after `runtime_name`.
ExitResult DecodeExit(int status, std::string_view log,
                      std::string_view runtime_name);

// The same for the runtime's words alone, when nothing was started: a result
// with start_error, or the Error.
ExitResult DecodeStartFailure(const std::string& message,
                              std::string_view runtime_name);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_EXIT_STATUS_H_
