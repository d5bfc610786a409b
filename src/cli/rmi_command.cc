// `imgbuild rmi`: names first, the image when its last name is gone.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <set>

#include "imgbuild/util/error.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

std::string Shown(const store::NameRecord& name) {
  const std::string repository = name.repository.Familiar();
  return name.tag ? repository + ":" + *name.tag
                  : repository + "@" + name.target.ToString();
}

class Remover {
 public:
  explicit Remover(App& app, bool force) : app_(app), force_(force) {}

  void Remove(const std::string& word) {
    const store::Match match = RequireImage(app_, word);
    if (match.how == store::Match::How::kId) {
      RemoveById(match.image, word);
    } else {
      RemoveByName(match, word);
    }
  }
  // Blobs and DiffIds that only the removed images may have needed.
  const std::vector<oci::Digest>& released() const { return released_; }

 private:
  store::ImageStore& images() { return app_.store().images(); }

  void Untag(const store::NameRecord& name) {
    images().RemoveName(name);
    fmt::print("Untagged: {}\n", Shown(name));
  }

  // A name goes; the image follows when it was the last one.
  void RemoveByName(const store::Match& match, const std::string& word) {
    const std::vector<store::NameRecord> names =
        images().NamesOf(match.image.manifest);
    if (match.name) {
      Untag(*match.name);
      if (match.name->tag) DropLinks(names, *match.name);
    } else if (!names.empty()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("unable to remove {}: the image is known by "
                              "names of other repositories",
                              word));
    }
    const std::vector<store::NameRecord> left =
        images().NamesOf(match.image.manifest);
    if (left.empty()) {
      Delete(match.image);
      return;
    }
    if (match.how == store::Match::How::kDigest) {
      // Said, because Docker does not say it: the image is still there.
      std::string text;
      for (const store::NameRecord& name : left) {
        if (!text.empty()) text += ", ";
        text += Shown(name);
      }
      std::fflush(stdout);
      fmt::print(stderr, "still named: {}\n", text);
    }
  }

  // With the last tag of a repository its digest links go too.
  void DropLinks(const std::vector<store::NameRecord>& names,
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

  void RemoveById(const store::ImageRecord& image, const std::string& word) {
    const std::vector<store::NameRecord> names =
        images().NamesOf(image.manifest);
    std::set<std::string> repositories;
    for (const store::NameRecord& n : names) {
      repositories.insert(n.repository.ToString());
    }
    if (repositories.size() > 1 && !force_) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("conflict: unable to delete {} (must be forced) "
                              "- image is referenced in multiple repositories",
                              word))
          .WithHint("-f removes it with all its names");
    }
    for (const store::NameRecord& n : names) Untag(n);
    Delete(image);
  }

  void Delete(const store::ImageRecord& image) {
    images().RemoveImage(image.manifest);
    fmt::print("Deleted: {}\n", image.id.ToString());
    released_.push_back(image.manifest);
    released_.push_back(image.id.digest());
    for (const oci::Descriptor& layer : image.layers) {
      released_.push_back(layer.digest);
    }
    for (const oci::DiffId& diff_id : image.diff_ids) {
      released_.push_back(diff_id.digest());
    }
  }

  App& app_;
  bool force_;
  std::vector<oci::Digest> released_;
};

}  // namespace

int RmiCommand(App& app, const Words& words) {
  std::vector<std::string> images;
  bool force = false;
  Args args("rmi [OPTIONS] IMAGE…",
            "Remove names; an image goes with its last name.");
  args.Flag("-f,--force", &force, "remove an image with all its names");
  args.Positionals("IMAGE", &images, true,
                   "NAME[:TAG], NAME@DIGEST or an image id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  int status = 0;
  Remover remover(app, force);
  for (const std::string& word : images) {
    try {
      remover.Remove(word);
    } catch (const Error& error) {
      std::fflush(stdout);
      std::fputs(error.Render().c_str(), stderr);
      status = static_cast<int>(error.code());
    }
  }
  // What the build cache still uses stays, so that a rebuild is cached.
  if (!remover.released().empty()) {
    app.store().SweepOnly(remover.released());
  }
  return status;
}

}  // namespace imgbuild::cli
