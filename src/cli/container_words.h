// What the commands on containers share.
#ifndef IMGBUILD_CLI_CONTAINER_WORDS_H_
#define IMGBUILD_CLI_CONTAINER_WORDS_H_

#include <functional>
#include <string>
#include <vector>

#include "imgbuild/container/run.h"

#include "cli/app.h"

namespace imgbuild::cli {

// Calls `act` for each word in turn and goes on after an Error, which is
// printed: Docker's commands on several containers do. 1 if any failed, else
// 0. An interruption is passed on.
int ForEachWord(const std::vector<std::string>& words,
                const std::function<void(const std::string& word)>& act);

// The same for a command that has one container: its Error ends it with 1.
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

// Throws Error(kUsage) when -t and -i are asked for and stdin is no terminal.
void CheckTerminal(bool terminal, bool interactive);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_CONTAINER_WORDS_H_
