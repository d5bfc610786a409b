// The monitor of a detached container: started by this program, not by people.
#include "imgbuild/container/run.h"

#include "cli/commands.h"
#include "cli/container_words.h"

namespace imgbuild::cli {

int MonitorCommand(App& app, const Words& words) {
  std::string id;
  Args args(std::string(kMonitorCommand) + " ID",
            "Watches a container; run -d and start run this.");
  args.Positional("ID", &id, true, "the container");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  container::Containers containers(app.store());
  container::Supervise(MakeEngine(app, containers), id,
                       container::DetachedStart::kChannelFd, app.cancel);
  return 0;
}

}  // namespace imgbuild::cli
