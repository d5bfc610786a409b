// `build --call=METHOD[,format=FORMAT]` and its older spelling `--print`: what
// is asked of a Dockerfile in place of an image.
#ifndef IMGBUILD_CLI_CALL_H_
#define IMGBUILD_CLI_CALL_H_

#include <string>

#include "cli/app.h"
#include "cli/build_options.h"

namespace imgbuild::cli {

struct Call {
  enum class Method { kBuild, kCheck, kOutline, kTargets, kDescribe };
  Method method = Method::kBuild;
  std::string format;          // "" is text
  bool ignore_status = false;  // findings of a check do not fail
};

// Throws Error(kUsage) with the nearest name.
Call ParseCall(const BuildFlags& flags);

// Prints to standard output what `docker buildx build` prints, and returns the
// exit status. REQUIRES: not kBuild.
int RunCall(App& app, const BuildFlags& flags, const Call& call);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_CALL_H_
