// What a build reads: the Dockerfile's text and the context directory, from
// paths or from standard input.
#ifndef IMGBUILD_CLI_BUILD_INPUT_H_
#define IMGBUILD_CLI_BUILD_INPUT_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "imgbuild/context/context.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/source.h"

#include "cli/app.h"
#include "cli/build_options.h"

namespace imgbuild::cli {

struct BuildInput {
  std::shared_ptr<const SourceFile> dockerfile;
  std::string dockerfile_path;          // "" when it came from standard input
  std::string context_name;             // as typed
  UniqueFd context_fd;                  // empty: no context
  std::optional<fs::TempDir> unpacked;  // of a tar on standard input
};

// Throws Error(kUsage) when there is no Dockerfile, with the name it looked
// for, or no such directory.
BuildInput ReadInput(App& app, const BuildFlags& flags);

// The context of the build and the named ones that are directories.
// `pool` of the app and `input` must outlive them.
std::map<std::string, std::shared_ptr<const context::ContextSource>>
OpenContexts(App& app, const BuildInput& input,
             const std::map<std::string, std::string>& named,
             const std::vector<std::string>& used);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_BUILD_INPUT_H_
