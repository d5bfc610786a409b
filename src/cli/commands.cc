#include "cli/commands.h"

#include <algorithm>

namespace imgbuild::cli {
namespace {

constexpr char kBuild[] = "Build";
constexpr char kImages[] = "Images";
constexpr char kContainers[] = "Containers";
constexpr char kRegistries[] = "Registries";
constexpr char kHost[] = "This host";

// `image ls` -> `images`; `verb` "" stands for all others.
struct Spelling {
  const char* noun;
  const char* verb;
  std::vector<std::string> words;
};

const std::vector<Spelling>& Spellings() {
  static const std::vector<Spelling> spellings = {
      {"image", "ls", {"images"}},
      {"image", "list", {"images"}},
      {"image", "rm", {"rmi"}},
      {"image", "remove", {"rmi"}},
      {"image", "inspect", {"inspect", "--type", "image"}},
      {"image", "prune", {"prune", "images"}},
      {"image", "mount", {"mount", "--type", "image"}},
      {"image", "umount", {"umount", "--type", "image"}},
      {"image", "unmount", {"umount", "--type", "image"}},
      {"image", "", {}},
      {"container", "ls", {"ps"}},
      {"container", "list", {"ps"}},
      {"container", "remove", {"rm"}},
      {"container", "inspect", {"inspect", "--type", "container"}},
      {"container", "prune", {"prune", "containers"}},
      {"container", "mount", {"mount", "--type", "container"}},
      {"container", "umount", {"umount", "--type", "container"}},
      {"container", "unmount", {"umount", "--type", "container"}},
      {"container", "", {}},
      {"builder", "prune", {"prune", "cache"}},
      {"builder", "build", {"build"}},
      {"system", "df", {"df"}},
      {"system", "prune", {"prune", "all"}},
  };
  return spellings;
}

bool IsCommand(const std::string& name) {
  return std::ranges::any_of(
      Commands(), [&](const Command& command) { return name == command.name; });
}

}  // namespace

Words OwnSpelling(const Words& words) {
  if (!words.empty() && words[0] == "unmount") {
    Words out = words;
    out[0] = "umount";
    return out;
  }
  if (words.size() < 2) return words;
  for (const Spelling& spelling : Spellings()) {
    const bool any = *spelling.verb == '\0';
    if (words[0] != spelling.noun || (!any && words[1] != spelling.verb)) {
      continue;
    }
    if (any && !IsCommand(words[1])) continue;
    std::vector<std::string> out = spelling.words;
    out.insert(out.end(), words.begin() + (any ? 1 : 2), words.end());
    return out;
  }
  return words;
}

const std::vector<Command>& Commands() {
  static const std::vector<Command> commands = {
      {kBuild, "build", BuildCommand, "build an image from a Dockerfile"},
      {kBuild, "plan", PlanCommand,
       "show what a build would do, and its cache keys"},
      {kBuild, "lock", LockCommand,
       "write down what the names in a Dockerfile stand for"},
      {kBuild, "check", CheckCommand, "find what is unwise in a Dockerfile"},
      {kBuild, "pin", PinCommand, "write digests into the Dockerfile"},
      {kBuild, "unpin", UnpinCommand, "take them out again"},
      {kBuild, "context", ContextCommand,
       "list the files of a build context, and what ignores others"},
      {kImages, "images", ImagesCommand, "list the images of the store"},
      {kImages, "history", HistoryCommand, "show how an image was made"},
      {kImages, "inspect", InspectCommand, "show an image as JSON"},
      {kImages, "tag", TagCommand, "give an image another name"},
      {kImages, "rmi", RmiCommand, "remove images or names"},
      {kImages, "save", SaveCommand, "write images to a file"},
      {kImages, "load", LoadCommand, "read images from a file"},
      {kImages, "import", ImportCommand, "make an image of a root file system"},
      {kImages, "mount", MountCommand,
       "show the files of an image or container in a directory"},
      {kImages, "umount", UmountCommand, "take that back"},
      {kImages, "diff", DiffCommand, "compare two images"},
      {kImages, "prune", PruneCommand, "remove what nothing uses"},
      {kContainers, "run", RunCommand, "run a command in an image"},
      {kContainers, "create", CreateCommand, "make a container to start later"},
      {kContainers, "start", StartCommand, "run stopped containers again"},
      {kContainers, "stop", StopCommand, "stop containers"},
      {kContainers, "restart", RestartCommand, "stop and start containers"},
      {kContainers, "kill", KillCommand, "send a signal to containers"},
      {kContainers, "pause", PauseCommand, "freeze containers"},
      {kContainers, "unpause", UnpauseCommand, "let frozen containers go on"},
      {kContainers, "wait", WaitCommand, "wait until containers have ended"},
      {kContainers, "exec", ExecCommand, "run a command in a container"},
      {kContainers, "attach", AttachCommand, "connect with a container"},
      {kContainers, "logs", LogsCommand, "show what a container has put out"},
      {kContainers, "ps", PsCommand, "list containers"},
      {kContainers, "cp", CpCommand,
       "copy files between a container and this host"},
      {kContainers, "export", ExportCommand,
       "write all files of a container as a tar"},
      {kContainers, "top", TopCommand, "show a container's processes"},
      {kContainers, "stats", StatsCommand, "show what containers use"},
      {kContainers, "port", PortCommand, "show a container's published ports"},
      {kContainers, "rename", RenameCommand, "give a container another name"},
      {kContainers, "rm", RmCommand, "remove containers"},
      {kRegistries, "pull", PullCommand, "fetch an image from a registry"},
      {kRegistries, "push", PushCommand, "send an image to its registry"},
      {kRegistries, "copy", CopyCommand,
       "copy an image between registries, files and the store"},
      {kRegistries, "index", IndexCommand,
       "make one name for images of several platforms"},
      {kRegistries, "resolve", ResolveCommand,
       "tell the digest, size and platforms of a name"},
      {kRegistries, "config", ConfigCommand,
       "show what is configured for a registry"},
      {kRegistries, "login", LoginCommand, "keep credentials for a registry"},
      {kRegistries, "logout", LogoutCommand, "forget them"},
      {kHost, "df", DfCommand, "show where the space of the store goes"},
      {kHost, "store", StoreCommand, "check and repair the store"},
      {kHost, "doctor", DoctorCommand, "tell what this host can do"},
      {nullptr, kMonitorCommand, MonitorCommand, ""},
  };
  return commands;
}

}  // namespace imgbuild::cli
