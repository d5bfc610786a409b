// What a build reads: the Dockerfile's text and the contexts, from paths, from
// standard input or from the network.
#ifndef IMGBUILD_CLI_BUILD_INPUT_H_
#define IMGBUILD_CLI_BUILD_INPUT_H_

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/build/remote_context.h"
#include "imgbuild/context/context.h"
#include "imgbuild/util/progress.h"
#include "imgbuild/util/source.h"

#include "cli/app.h"
#include "cli/build_options.h"

namespace imgbuild::cli {

struct BuildInput {
  std::shared_ptr<const SourceFile> dockerfile;
  // Where a Dockerfile on this machine lies; "" for any other.
  std::string dockerfile_path;
  // Where one in a fetched context lies in there; "" for any other.
  std::string dockerfile_inside;
  std::string context_name;  // for messages
  // Tells the steps of this build from those of others, again tomorrow: the
  // directory or URL, and the Dockerfile's name.
  std::string slot_prefix;
  UniqueFd context_fd;  // a directory of the user's; empty: see below
  // A context that was fetched or unpacked; with neither, there are no files.
  std::optional<build::FetchedContext> fetched;
  bool slow_path = false;  // remembers no digests
};

// Fetches and unpacks what is not on this machine, each with a row of its own
// in `progress`. Throws Error(kUsage) when there is no Dockerfile, with the
// name it looked for, or no such directory.
BuildInput ReadInput(App& app, const BuildFlags& flags, ProgressSink& progress);

// The contexts that a plan uses. Opens what it is given; removes what it
// fetched when it goes. `app` and `input` must outlive it.
class OpenedContexts {
 public:
  using Map =
      std::map<std::string, std::shared_ptr<const context::ContextSource>>;
  // `used` are names of `named`, or "" for the main one.
  OpenedContexts(App& app, const BuildInput& input,
                 const std::map<std::string, std::string>& named,
                 const std::vector<std::string>& used, ProgressSink& progress);
  const Map& map() const { return map_; }

 private:
  void OpenMain(App& app, const BuildInput& input);
  void OpenNamed(App& app, const std::string& name, const std::string& value,
                 ProgressSink& progress);

  std::list<build::FetchedContext> fetched_;
  Map map_;  // reads from them: goes first
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_BUILD_INPUT_H_
