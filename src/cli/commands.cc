#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

constexpr char kBuild[] = "Build";
constexpr char kImages[] = "Images";
constexpr char kContainers[] = "Containers";
constexpr char kRegistries[] = "Registries";
constexpr char kHost[] = "This host";

}  // namespace

const std::vector<Command>& Commands() {
  static const std::vector<Command> commands = {
      {kBuild, "build", BuildCommand, "build an image from a Dockerfile"},
      {kBuild, "plan", PlanCommand,
       "show what a build would do, and its cache keys"},
      {kBuild, "pin", PinCommand, "write digests into the Dockerfile"},
      {kBuild, "unpin", UnpinCommand, "take them out again"},
      {kBuild, "context", ContextCommand,
       "list the files of a build context, and what ignores others"},
      {kImages, "images", ImagesCommand, "list the images of the store"},
      {kImages, "inspect", InspectCommand, "show an image as JSON"},
      {kImages, "tag", TagCommand, "give an image another name"},
      {kImages, "rmi", RmiCommand, "remove images or names"},
      {kContainers, "run", RunCommand, "run a command in an image"},
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
      {kHost, "doctor", DoctorCommand, "tell what this host can do"},
  };
  return commands;
}

}  // namespace imgbuild::cli
