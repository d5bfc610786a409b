// The value of --build-context NAME=VALUE: what a name of the Dockerfile stands
// for in this build.
#ifndef IMGBUILD_PLAN_NAMED_CONTEXT_H_
#define IMGBUILD_PLAN_NAMED_CONTEXT_H_

#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/oci/platform.h"

namespace imgbuild::plan {

struct NamedContext {
  enum class Kind {
    kFiles,      // a directory, a URL or a git repository: files, no config
    kImage,      // docker-image://REFERENCE
    kOciLayout,  // oci-layout://PATH[:TAG|@DIGEST]
    kStage,      // target:STAGE of the same Dockerfile
  };
  Kind kind = Kind::kFiles;
  std::string value;  // without the prefix
};

// Throws Error(kUsage) for a prefix that means nothing, or one with nothing
// behind it.
NamedContext ParseNamedContext(std::string_view text);

// The name of --build-context NAME[::PLATFORM]=VALUE.
struct ContextName {
  std::string name;
  std::optional<oci::Platform> platform;  // the one it is meant for alone
};

// Throws Error(kUsage) for what is no platform.
ContextName SplitContextName(std::string_view text);

// http:// or https://, whatever stands behind it.
bool IsHttpUrl(std::string_view text);

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_NAMED_CONTEXT_H_
