// Runs a command in a stored image: the foreground half of `imgbuild run`.
#ifndef IMGBUILD_CONTAINER_RUN_H_
#define IMGBUILD_CONTAINER_RUN_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/oci/image_config.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::container {

// HOST:CONTAINER[:ro|rw] of -v.
struct Volume {
  std::string source;  // absolute host path
  std::string target;
  bool read_only = false;
};
// Throws Error(kUsage).
Volume ParseVolume(const std::string& text);

struct RunOptions {
  std::vector<std::string> command;       // after IMAGE; empty: the image's CMD
  std::optional<std::string> entrypoint;  // "" resets the image's
  std::vector<std::string> env;           // K=V, later wins
  std::vector<Volume> volumes;
  std::string working_dir;
  std::string user;
  std::string hostname;
  exec::NetworkMode network = exec::NetworkMode::kDefault;
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  bool terminal = false;
  bool interactive = false;
  bool read_only = false;
  std::vector<std::string> tmpfs;  // targets
};

// What a container of this image and these options runs. Pure but for the
// look-up of the user in `root`. Throws Error(kUsage) "no command specified".
exec::ProcessSpec MakeProcess(const oci::ImageConfig& config,
                              const RunOptions& options, const FileTree& root);

// Unpacks what is missing, runs, removes the container's own files. The
// process's streams are this process's. Returns what it ended with.
exec::ExitResult RunForeground(store::Store& store,
                               transfer::Transfer& transfer,
                               exec::Executor& executor,
                               const store::ImageRecord& image,
                               const RunOptions& options,
                               const CancelToken& cancel);

}  // namespace imgbuild::container

#endif  // IMGBUILD_CONTAINER_RUN_H_
