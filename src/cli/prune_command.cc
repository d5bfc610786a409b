// `imgbuild prune images|containers|cache|all` (Docker's `image prune`,
// `container prune`, `builder prune` and `system prune` are the same).
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <set>

#include "imgbuild/container/containers.h"
#include "imgbuild/container/mounts.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_remover.h"
#include "cli/image_rows.h"
#include "cli/list_filter.h"
#include "cli/store_limit.h"

namespace imgbuild::cli {
namespace {

struct Options {
  std::string what;
  bool all = false;
  bool force = false;
  std::vector<std::string> filters;
  std::vector<std::string> keep_locked;
  std::string store_max;

  bool images() const { return what == "images" || what == "all"; }
  bool containers() const { return what == "containers" || what == "all"; }
  bool cache() const { return what == "cache" || what == "all"; }
};

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
    const store::Swept swept = app_.store().SweepExcept(
        options_.cache(), {locked_.begin(), locked_.end()});
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
    container::Containers all(app_.store());
    bool first = true;
    for (const container::Container& one : all.List()) {
      const store::ContainerRecord& container = one.record;
      if (container::FindMounted(app_.store(), container.id)) continue;
      if (filter_.AsksForLabels() &&
          !filter_.MatchesLabels(LabelsOfContainer(all, one))) {
        continue;
      }
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

  static std::map<std::string, std::string> LabelsOfContainer(
      container::Containers& containers, const container::Container& one) {
    const auto labels =
        container::LabelsOf(containers.ImageConfigOf(one.record), one.config);
    // The container's own come last and win.
    std::map<std::string, std::string> out;
    for (const auto& [key, value] : labels) out[key] = value;
    return out;
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
    return app_.store().containers().UsersOf(image.id).empty() &&
           !container::FindMounted(app_.store(), image);
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

// Asks nobody: nothing goes that has a tag.
int PruneTo(App& app, const Options& options, uint64_t max_bytes) {
  if (!options.what.empty() || options.all || !options.filters.empty()) {
    throw Error(ErrorCode::kUsage,
                "--store-max decides by itself what goes: give it alone, or "
                "with --keep-locked");
  }
  const uint64_t freed =
      KeepBelow(app, max_bytes, LockedDigests(options.keep_locked));
  fmt::print("Total reclaimed space: {}\n", HumanSize(freed));
  return 0;
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
  args.Value("--store-max", &options.store_max, "SIZE",
             "instead of WHAT: remove what was used longest ago until the "
             "store takes at most that much");
  args.Positional("WHAT", &options.what, false,
                  "images, containers, cache or all");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  if (const auto max_bytes = ParseStoreMax(options.store_max)) {
    return PruneTo(app, options, *max_bytes);
  }
  if (!options.images() && !options.containers() && !options.cache()) {
    if (options.what.empty()) {
      throw Error(ErrorCode::kUsage, "prune what?")
          .WithHint("images, containers, cache or all");
    }
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
