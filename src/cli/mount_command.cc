// `imgbuild mount` and `imgbuild umount`.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/container/mounts.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"

namespace imgbuild::cli {
namespace {

// What a word means: a container's name or id, else an image.
enum class Kind { kAny, kContainer, kImage };

Kind ParseKind(const std::string& text) {
  if (text.empty()) return Kind::kAny;
  if (text == "container") return Kind::kContainer;
  if (text == "image") return Kind::kImage;
  throw Error(ErrorCode::kUsage, "invalid --type " + Quoted(text))
      .WithHint("container or image");
}

std::optional<container::Container> FindContainer(
    container::Containers& containers, const std::string& word, Kind kind) {
  if (kind == Kind::kImage) return std::nullopt;
  if (kind == Kind::kContainer) return containers.Require(word);
  return containers.Find(word);
}

void PrintAll(App& app, Kind kind) {
  for (const container::Mounted& mounted :
       container::ListMounted(app.store())) {
    if (kind == Kind::kContainer && !mounted.record.of_container) continue;
    if (kind == Kind::kImage && mounted.record.of_container) continue;
    const std::string name = mounted.record.of_container
                                 ? mounted.record.id.substr(0, 12)
                                 : mounted.record.reference;
    fmt::print("{}  {}\n", name, mounted.path);
  }
}

// The id of what is mounted.
std::string MountedId(App& app, container::Containers& containers,
                      const std::string& word, Kind kind) {
  if (const auto container = FindContainer(containers, word, kind)) {
    return container->record.id;
  }
  return container::MountId(RequireImage(app, word).image);
}

}  // namespace

int MountCommand(App& app, const Words& words) {
  std::string type;
  std::vector<std::string> names;
  Args args("mount [OPTIONS] [IMAGE|CONTAINER…]",
            "Mount the files of images or containers read-only and print "
            "where. Without a name: list what is mounted.");
  args.Value("--type", &type, "container|image", "what the names are");
  args.Positionals("NAME", &names, false,
                   "a container's name or id, or an image");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  const Kind kind = ParseKind(type);
  if (names.empty()) {
    PrintAll(app, kind);
    return 0;
  }
  RequireRoot();
  container::Containers containers(app.store());
  const container::Engine engine = MakeEngine(app, containers);
  return ForEachWord(names, [&](const std::string& word) {
    std::string path;
    if (const auto container = FindContainer(containers, word, kind)) {
      path = container::MountContainer(engine, *container);
    } else {
      path = container::MountImage(engine, RequireImage(app, word).image, word);
    }
    // Docker's and podman's scripts read the path alone where there is one.
    if (names.size() == 1) {
      fmt::print("{}\n", path);
    } else {
      fmt::print("{}  {}\n", word, path);
    }
  });
}

int UmountCommand(App& app, const Words& words) {
  std::string type;
  bool all = false;
  bool force = false;
  std::vector<std::string> names;
  Args args("umount [OPTIONS] IMAGE|CONTAINER…",
            "Take back what `mount` mounted.");
  args.Flag("-a,--all", &all, "everything that is mounted");
  args.Flag("-f,--force", &force, "also while somebody has a file open there");
  args.Value("--type", &type, "container|image", "what the names are");
  args.Positionals("NAME", &names, false,
                   "a container's name or id, or an image");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  const Kind kind = ParseKind(type);
  if (all == !names.empty()) {
    throw Error(ErrorCode::kUsage, "umount needs names, or --all");
  }
  RequireRoot();
  container::Containers containers(app.store());
  if (all) {
    std::vector<std::string> ids;
    for (const store::MountRecord& record : app.store().mounts().List()) {
      ids.push_back(record.id);
    }
    return ForEachWord(ids, [&](const std::string& id) {
      container::Unmount(app.store(), id, force);
      fmt::print("{}\n", id);
    });
  }
  return ForEachWord(names, [&](const std::string& word) {
    const std::string id = MountedId(app, containers, word, kind);
    if (!container::Unmount(app.store(), id, force)) {
      throw Error(ErrorCode::kFailed, word + " is not mounted");
    }
    fmt::print("{}\n", word);
  });
}

}  // namespace imgbuild::cli
