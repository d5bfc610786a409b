// A container under conmon: it keeps the log, owns the streams, lets others
// attach and writes down how the container ended. It is the first process of
// the outer pid namespace, as the runtime is in a run without it, so that
// everything ends with it.
#ifndef IMGBUILD_SRC_EXEC_CONMON_H_
#define IMGBUILD_SRC_EXEC_CONMON_H_

#include <sys/types.h>

#include <optional>
#include <string>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/unique_fd.h"

#include "exec/launch.h"
#include "exec/runtime_probe.h"

namespace imgbuild::exec {

// In the run directory: the container's id, for whoever looks it up by a pid.
inline constexpr char kIdFile[] = "container-id";

class Conmon {
 public:
  // Fills what is conmon's own into `plan` (which must live on) and starts it;
  // it creates the container at once. Throws Error(kHost) without conmon.
  Conmon(LaunchPlan& plan, const Runtime& runtime, const std::string& id,
         const MonitorSpec& monitor, bool terminal);

  pid_t pid() const { return process_->pid(); }
  // Blocks until the container exists. A result: its command cannot be
  // started. Throws Error(kHost) when the runtime failed for another reason.
  std::optional<ExitResult> WaitCreated(const CancelToken& cancel);
  // Lets it run.
  void Start(const StartedContainer& started);
  // Blocks until it has ended; false: cancelled, and it has been killed.
  bool Wait(const CancelToken& cancel);
  // After Wait().
  ExitResult Result() const;

 private:
  std::string runtime_name_;
  UniqueFd sync_;      // what conmon reports
  UniqueFd messages_;  // its standard error
  UniqueFd run_dir_;   // the private mount, also after its end
  std::optional<Launched> process_;
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_CONMON_H_
