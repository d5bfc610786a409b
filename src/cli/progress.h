// Which display a build gets.
#ifndef IMGBUILD_CLI_PROGRESS_H_
#define IMGBUILD_CLI_PROGRESS_H_

#include <cstdio>
#include <memory>
#include <string>

#include "imgbuild/util/progress.h"

namespace imgbuild::cli {

class ProgressDisplay {
 public:
  virtual ~ProgressDisplay() = default;
  virtual ProgressSink& sink() = 0;
  // Ends the live part; the terminal is as it was.
  virtual void Close() = 0;
  // The output of the step that failed, to be shown again at the end.
  virtual std::string FailureBlock() const = 0;
};

// Redraws its rows in place; ends with Close().
std::unique_ptr<ProgressDisplay> MakeTtyDisplay(std::FILE* out);

// kind: auto (tty on a terminal, else plain), plain, tty, quiet, rawjson,
// none. Throws Error(kUsage).
std::unique_ptr<ProgressDisplay> MakeProgress(const std::string& kind,
                                              std::FILE* out);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_PROGRESS_H_
