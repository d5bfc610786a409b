// `imgbuild prune images|containers|cache|all` (Docker's `image prune`,
// `container prune`, `builder prune` and `system prune` are the same).
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <set>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_remover.h"
#include "cli/image_rows.h"
#include "cli/list_filter.h"

namespace imgbuild::cli {
namespace {

struct Options {
  std::string what;
  bool all = false;
  bool force = false;
  std::vector<std::string> filters;
  std::vector<std::string> keep_locked;

  bool images() const { return what == "images" || what == "all"; }
  bool containers() const { return what == "containers" || what == "all"; }
  bool cache() const { return what == "cache" || what == "all"; }
};

// Every digest that a lock names: of names, of their platforms' manifests and
// of what is expected to come out.
std::set<oci::Digest> LockedDigests(const std::vector<std::string>& files) {
  std::set<oci::Digest> digests;
  for (const std::string& file : files) {
    const UniqueFd fd = fs::Open(AT_FDCWD, file, O_RDONLY);
    FdReader reader(fd.get(), file);
    const lock::Lockfile locked = lock::Parse(std::make_shared<SourceFile>(
        file, ReadAll(reader, lock::kMaxLockBytes, file)));
    for (const lock::ImagePin& pin : locked.images) {
      digests.insert(pin.digest);
      for (const auto& [platform, image] : pin.platforms) {
        digests.insert(image.manifest);
      }
    }
    for (const lock::ExpectedOutput& output : locked.outputs) {
      digests.insert(output.manifest);
    }
  }
  return digests;
}

class Pruner {
 public:
  Pruner(App& app, const Options& options)
      : app_(app),
        options_(options),
        filter_(options.filters, {"label", "label!", "until"}),
        until_(filter_.Until(SystemClock().NowSeconds())),
        locked_(LockedDigests(options.keep_locked)) {}

  void Run() {
    if (options_.containers()) PruneContainers();
    if (options_.images()) PruneImages();
    // One sweep for both: it also takes what nothing ever named.
    const store::Swept swept = app_.store().Sweep(options_.cache());
    if (options_.cache() && !swept.layers.empty()) {
      fmt::print("Deleted build cache objects:\n");
      for (const oci::DiffId& layer : swept.layers) {
        fmt::print("{}\n", layer.ToString());
      }
      fmt::print("\n");
    }
    fmt::print("Total reclaimed space: {}\n", HumanSize(swept.bytes));
  }

 private:
  void PruneContainers() {
    store::ContainerStore& containers = app_.store().containers();
    bool first = true;
    for (const store::ContainerRecord& container : containers.List()) {
      if (until_ && container.created_ns / 1'000'000'000 >= *until_) continue;
      // The lock is held by whoever runs it.
      const auto lock = containers.TryLock(container.id);
      if (lock == nullptr || !containers.Remove(container.id)) continue;
      if (first) fmt::print("Deleted Containers:\n");
      first = false;
      fmt::print("{}\n", container.id);
    }
    if (!first) fmt::print("\n");
  }

  // Age is the time in this store: the `created` of a reproducible image is
  // that of its inputs.
  bool MayGo(const store::NamedImage& named) {
    const store::ImageRecord& image = named.image;
    if (!options_.all && !named.names.empty()) return false;
    if (until_ && image.stored_s >= *until_) return false;
    if (locked_.contains(image.manifest)) return false;
    for (const store::NameRecord& name : named.names) {
      if (locked_.contains(name.target)) return false;
    }
    if (filter_.AsksForLabels() &&
        !filter_.MatchesLabels(LabelsOf(app_, image))) {
      return false;
    }
    return app_.store().containers().UsersOf(image.id).empty();
  }

  void PruneImages() {
    ImageRemover remover(app_, true, "untagged: ", "deleted: ");
    for (const store::NamedImage& named : app_.store().images().List()) {
      if (!MayGo(named)) continue;
      if (!remover.removed_any()) fmt::print("Deleted Images:\n");
      remover.RemoveWhole(named.image);
    }
    if (remover.removed_any()) fmt::print("\n");
  }

  App& app_;
  const Options& options_;
  ListFilter filter_;
  std::optional<int64_t> until_;
  std::set<oci::Digest> locked_;
};

std::string Warning(const Options& options) {
  std::string text = "WARNING! This will remove:\n";
  if (options.containers()) text += "  - all stopped containers\n";
  if (options.images()) {
    text += options.all ? "  - all images without a container that uses them\n"
                        : "  - all dangling images\n";
  }
  if (options.cache()) text += "  - the build cache\n";
  return text;
}

bool Confirmed(const Options& options) {
  if (options.force) return true;
  fmt::print("{}Are you sure you want to continue? [y/N] ", Warning(options));
  std::fflush(stdout);
  std::string answer;
  std::getline(std::cin, answer);
  return ToLower(Trim(answer)) == "y";
}

}  // namespace

int PruneCommand(App& app, const Words& words) {
  Options options;
  Args args("prune [OPTIONS] images|containers|cache|all",
            "Remove what nothing uses and give its space back.");
  args.Flag("-a,--all", &options.all,
            "also images with names, where no container uses them");
  args.List("--filter", &options.filters, "KEY=VALUE",
            "until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]");
  args.Flag("-f,--force", &options.force, "do not ask");
  args.List("--keep-locked", &options.keep_locked, "FILE",
            "never remove what that Dockerfile.lock names; may repeat");
  args.Positional("WHAT", &options.what, true,
                  "images, containers, cache or all");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (!options.images() && !options.containers() && !options.cache()) {
    const auto near =
        Suggest(options.what, {"images", "containers", "cache", "all"});
    throw Error(ErrorCode::kUsage, "prune what? not " + Quoted(options.what))
        .WithHint(near ? "did you mean " + *near + "?"
                       : "images, containers, cache or all");
  }
  Pruner pruner(app, options);
  if (!Confirmed(options)) {
    fmt::print("Total reclaimed space: 0B\n");
    return 0;
  }
  pruner.Run();
  return 0;
}

}  // namespace imgbuild::cli
