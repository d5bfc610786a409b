#include "cli/image_remover.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "imgbuild/container/mounts.h"
#include "imgbuild/util/error.h"

#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

std::string Shown(const store::NameRecord& name) {
  const std::string repository = name.repository.Familiar();
  return name.tag ? repository + ":" + *name.tag
                  : repository + "@" + name.target.ToString();
}

std::string ShortId(const store::ContainerUse& container) {
  return container.id.substr(0, 12);
}

Error IsMounted(const std::string& what, const container::Mounted& mounted) {
  return Error(ErrorCode::kFailed,
               fmt::format("conflict: {} (must be forced) - image is mounted "
                           "at {}",
                           what, mounted.path))
      .WithHint("imgbuild umount; -f removes names and leaves the files there");
}

// The name would be the image's last (with the digest links that go with it).
bool IsLast(const std::vector<store::NameRecord>& names,
            const store::NameRecord& name) {
  return std::ranges::all_of(names, [&](const store::NameRecord& n) {
    const bool itself = n.repository == name.repository && n.tag == name.tag &&
                        n.target == name.target;
    return itself || (name.tag && !n.tag && n.repository == name.repository);
  });
}

}  // namespace

void ImageRemover::Remove(const std::string& word) {
  const store::Match match = RequireImage(app_, word);
  // A digest without a repository is no name: it means the image itself.
  if (match.how != store::Match::How::kTag && !match.name) {
    RemoveById(match.image, word);
  } else {
    RemoveByName(match, word);
  }
}

void ImageRemover::RemovePlatform(const std::string& word,
                                  const std::string& platform) {
  if (!force_) {
    throw Error(ErrorCode::kFailed,
                "Content will be removed from all images referencing this "
                "variant. Use --force to force delete.");
  }
  const store::ImageRecord image =
      OfPlatform(app_, RequireImage(app_, word), word, platform);
  const std::vector<store::ContainerUse> users =
      app_.store().containers().UsersOf(image.id);
  if (!users.empty()) {
    throw Error(ErrorCode::kFailed,
                fmt::format("conflict: unable to delete {} (cannot be forced) "
                            "- image is being used by {} container {}",
                            word, users.front().running ? "running" : "stopped",
                            ShortId(users.front())));
  }
  if (const auto mounted = container::FindMounted(app_.store(), image)) {
    throw IsMounted(fmt::format("unable to delete {}", word), *mounted);
  }
  const std::vector<store::NameRecord> names = images().NamesOf(image.manifest);
  Delete(image);
  for (store::NameRecord name : names) {
    if (!name.tag || name.target == image.manifest) continue;
    const auto other = images().Find(name.repository.ToString() + "@" +
                                     name.target.ToString());
    if (!other) continue;
    name.manifest = other->image.manifest;
    images().SetName(name);
  }
}

void ImageRemover::RemoveWhole(const store::ImageRecord& image) {
  for (const store::NameRecord& n : images().NamesOf(image.manifest)) Untag(n);
  Delete(image);
}

store::Swept ImageRemover::Sweep() {
  if (released_.empty()) return {};
  // What the build cache still uses stays, so that a rebuild is cached.
  return app_.store().SweepOnly(released_);
}

void ImageRemover::Untag(const store::NameRecord& name) {
  images().RemoveName(name);
  fmt::print("{}{}\n", untagged_, Shown(name));
}

// A name goes; the image follows when it was the last one and no container
// needs it.
void ImageRemover::RemoveByName(const store::Match& match,
                                const std::string& word) {
  const std::vector<store::NameRecord> names =
      images().NamesOf(match.image.manifest);
  const std::vector<store::ContainerUse> users =
      app_.store().containers().UsersOf(match.image.id);
  const auto mounted = container::FindMounted(app_.store(), match.image);
  if (match.name && mounted && IsLast(names, *match.name) && !force_) {
    throw IsMounted(
        fmt::format("unable to remove repository reference \"{}\"", word),
        *mounted);
  }
  if (match.name && !users.empty() && IsLast(names, *match.name) && !force_) {
    throw Error(
        ErrorCode::kFailed,
        fmt::format("conflict: unable to remove repository reference "
                    "\"{}\" (must force) - container {} is using its "
                    "referenced image {}",
                    word, ShortId(users.front()), match.image.id.Short()))
        .WithHint("-f removes the name and leaves the image to the container");
  }
  if (match.name) {
    Untag(*match.name);
    if (match.name->tag) DropLinks(names, *match.name);
  } else if (!names.empty()) {
    throw Error(ErrorCode::kFailed,
                fmt::format("unable to remove {}: the image is known by "
                            "names of other repositories",
                            word));
  }
  const std::vector<store::NameRecord> left =
      images().NamesOf(match.image.manifest);
  if (left.empty() && users.empty() && !mounted) {
    Delete(match.image);
  } else if (match.how == store::Match::How::kDigest) {
    TellWhatIsLeft(left);
  }
}

// Said, because Docker does not say it: the image is still there.
void ImageRemover::TellWhatIsLeft(const std::vector<store::NameRecord>& left) {
  if (left.empty()) return;
  std::string text;
  for (const store::NameRecord& name : left) {
    if (!text.empty()) text += ", ";
    text += Shown(name);
  }
  std::fflush(stdout);
  fmt::print(stderr, "still named: {}\n", text);
}

// With the last tag of a repository its digest links go too.
void ImageRemover::DropLinks(const std::vector<store::NameRecord>& names,
                             const store::NameRecord& gone) {
  const auto same = [&](const store::NameRecord& n) {
    return n.repository == gone.repository;
  };
  const bool tag_left =
      std::ranges::any_of(names, [&](const store::NameRecord& n) {
        return same(n) && n.tag && n.tag != gone.tag;
      });
  if (tag_left) return;
  for (const store::NameRecord& n : names) {
    if (same(n) && !n.tag) Untag(n);
  }
}

void ImageRemover::RemoveById(const store::ImageRecord& image,
                              const std::string& word) {
  const std::vector<store::NameRecord> names = images().NamesOf(image.manifest);
  std::set<std::string> repositories;
  for (const store::NameRecord& n : names) {
    repositories.insert(n.repository.ToString());
  }
  const std::vector<store::ContainerUse> users =
      app_.store().containers().UsersOf(image.id);
  const auto running = std::ranges::find_if(
      users, [](const store::ContainerUse& use) { return use.running; });
  if (running != users.end()) {
    throw Error(ErrorCode::kFailed,
                fmt::format("conflict: unable to delete {} (cannot be forced) "
                            "- image is being used by running container {}",
                            word, ShortId(*running)))
        .WithHint("stop the container first");
  }
  if (!users.empty() && !force_) {
    throw Error(ErrorCode::kFailed,
                fmt::format("conflict: unable to delete {} (must be forced) - "
                            "image is being used by stopped container {}",
                            word, ShortId(users.front())))
        .WithHint("-f removes its names and leaves the image to the container");
  }
  const auto mounted = container::FindMounted(app_.store(), image);
  if (mounted && !force_) {
    throw IsMounted(fmt::format("unable to delete {}", word), *mounted);
  }
  if (repositories.size() > 1 && !force_) {
    throw Error(ErrorCode::kFailed,
                fmt::format("conflict: unable to delete {} (must be forced) "
                            "- image is referenced in multiple repositories",
                            word))
        .WithHint("-f removes it with all its names");
  }
  for (const store::NameRecord& n : names) Untag(n);
  if (users.empty() && !mounted) Delete(image);
}

void ImageRemover::Delete(const store::ImageRecord& image) {
  images().RemoveImage(image.manifest);
  fmt::print("{}{}\n", deleted_, image.id.ToString());
  released_.push_back(image.manifest);
  released_.push_back(image.id.digest());
  for (const oci::Descriptor& layer : image.layers) {
    released_.push_back(layer.digest);
  }
  for (const oci::DiffId& diff_id : image.diff_ids) {
    released_.push_back(diff_id.digest());
  }
}

}  // namespace imgbuild::cli
