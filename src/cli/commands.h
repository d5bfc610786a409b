// The commands. Each takes its own words (without its name) and returns the
// exit status; errors are thrown.
#ifndef IMGBUILD_CLI_COMMANDS_H_
#define IMGBUILD_CLI_COMMANDS_H_

#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/args.h"

namespace imgbuild::cli {

using Words = std::vector<std::string>;

int BuildCommand(App& app, const Words& words);
int ContextCommand(App& app, const Words& words);
int PlanCommand(App& app, const Words& words);
int LockCommand(App& app, const Words& words);
int CheckCommand(App& app, const Words& words);
int PinCommand(App& app, const Words& words);
int UnpinCommand(App& app, const Words& words);
int LockExportCommand(App& app, const Words& words);
int PullCommand(App& app, const Words& words);
int PushCommand(App& app, const Words& words);
int RunCommand(App& app, const Words& words);
int CreateCommand(App& app, const Words& words);
int StartCommand(App& app, const Words& words);
int RestartCommand(App& app, const Words& words);
int StopCommand(App& app, const Words& words);
int KillCommand(App& app, const Words& words);
int WaitCommand(App& app, const Words& words);
int PauseCommand(App& app, const Words& words);
int UnpauseCommand(App& app, const Words& words);
int RenameCommand(App& app, const Words& words);
int RmCommand(App& app, const Words& words);
int PsCommand(App& app, const Words& words);
int ExecCommand(App& app, const Words& words);
int AttachCommand(App& app, const Words& words);
int LogsCommand(App& app, const Words& words);
int TopCommand(App& app, const Words& words);
int PortCommand(App& app, const Words& words);
int StatsCommand(App& app, const Words& words);
int MonitorCommand(App& app, const Words& words);
int ImagesCommand(App& app, const Words& words);
int RmiCommand(App& app, const Words& words);
int TagCommand(App& app, const Words& words);
int DfCommand(App& app, const Words& words);
int DiffCommand(App& app, const Words& words);
int ImportCommand(App& app, const Words& words);
int StoreCommand(App& app, const Words& words);
int PruneCommand(App& app, const Words& words);
int HistoryCommand(App& app, const Words& words);
int LoadCommand(App& app, const Words& words);
int SaveCommand(App& app, const Words& words);
int InspectCommand(App& app, const Words& words);
int MountCommand(App& app, const Words& words);
int UmountCommand(App& app, const Words& words);
int CpCommand(App& app, const Words& words);
int ExportCommand(App& app, const Words& words);
int CopyCommand(App& app, const Words& words);
int IndexCommand(App& app, const Words& words);
int ResolveCommand(App& app, const Words& words);
int ConfigCommand(App& app, const Words& words);
int LoginCommand(App& app, const Words& words);
int LogoutCommand(App& app, const Words& words);
int DoctorCommand(App& app, const Words& words);

struct Command {
  const char* group;  // its heading in --help; nullptr: not for people
  const char* name;
  int (*run)(App& app, const Words& words);
  const char* summary;
};
// Those of one group stand together, in the order of --help.
const std::vector<Command>& Commands();

// Docker's two-word spellings as ours: `image ls` is `images`, `system prune`
// is `prune all`; podman's `unmount`. Other words stay as they are.
Words OwnSpelling(const Words& words);

// What MonitorCommand is called; --help does not tell.
inline constexpr char kMonitorCommand[] = "container-monitor";

// Throws Error(kHost) at the start of what would fail half-way without root:
// unpacking layers and running steps. Root of a user namespace will do.
void RequireRoot();

// Refuses a --format that is neither "plain" nor "json".
void CheckFormat(const std::string& format);

// --root, --insecure-registry, --runtime.
void AddGlobalFlags(Args& args, GlobalOptions& options);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_COMMANDS_H_
