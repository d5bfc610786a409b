// What the commands on containers share.
#ifndef IMGBUILD_CLI_CONTAINER_WORDS_H_
#define IMGBUILD_CLI_CONTAINER_WORDS_H_

#include <functional>
#include <string>
#include <vector>

#include "imgbuild/container/run.h"

#include "cli/app.h"
#include "cli/args.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {

// For a command that has one container: its Error is printed and ends it with
// 1; an interruption and what a lock or a policy refuses are passed on.
int FailWithOne(const std::function<int()>& act);

container::Engine MakeEngine(App& app, container::Containers& containers);

// Starts the monitor of that container; see container::DetachedStart.
container::DetachedStart StartMonitor(App& app, const std::string& id);

// Attaches this program's streams until the container ends (its exit code) or
// the user detaches (0).
struct AttachFlags {
  bool no_stdin = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};
int AttachAndWait(App& app, container::Containers& containers,
                  const container::Container& container,
                  const AttachFlags& flags,
                  const std::function<void()>& when_attached);

// --time and --signal of `stop` and `restart`.
class StopFlags {
 public:
  void AddTo(Args& args);
  // Stops it. Throws Error(kUsage) when the flags cannot be understood: said
  // of each container, as Docker does.
  void Stop(App& app, container::Containers& containers,
            const container::Container& container) const;

 private:
  std::string time_;
  std::string signal_;
};

// Throws Error(kUsage) when -t and -i are asked for and stdin is no terminal.
void CheckTerminal(bool terminal, bool interactive);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_CONTAINER_WORDS_H_
