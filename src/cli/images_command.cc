// `imgbuild images`.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/context/ignore.h"
#include "imgbuild/util/clock.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

struct Row {
  std::string repository = "<none>";
  std::string tag = "<none>";
  std::string digest;
  const store::ImageRecord* image = nullptr;
};

// One row a name. A digest link is a row of its own only where no tag of the
// repository stands for the same thing; an image without any name is one row.
std::vector<Row> RowsOf(const store::NamedImage& named) {
  std::vector<Row> rows;
  const auto has_tag = [&](const store::NameRecord& link) {
    return std::ranges::any_of(named.names, [&](const store::NameRecord& n) {
      return n.tag && n.repository == link.repository &&
             n.target == link.target;
    });
  };
  for (const store::NameRecord& name : named.names) {
    if (!name.tag && has_tag(name)) continue;
    rows.push_back({name.repository.Familiar(), name.tag.value_or("<none>"),
                    name.target.ToString(), &named.image});
  }
  if (named.names.empty()) {
    rows.push_back(
        {"<none>", "<none>", named.image.manifest.ToString(), &named.image});
  }
  return rows;
}

// `images REPO[:TAG]`: a name, or a pattern of path.Match.
bool Matches(const Row& row, const std::string& filter) {
  if (filter.empty()) return true;
  const std::string full = row.repository + ":" + row.tag;
  if (filter == row.repository || filter == full) return true;
  if (const auto reference = oci::Reference::TryParse(filter)) {
    if (reference->repository().Familiar() == row.repository) {
      if (reference->digest()) {
        return reference->digest()->ToString() == row.digest;
      }
      return !reference->tag() || *reference->tag() == row.tag;
    }
  }
  return context::HasGlob(filter) &&
         (context::GlobMatch(filter, full) ||
          context::GlobMatch(filter, row.repository));
}

}  // namespace

int ImagesCommand(App& app, const Words& words) {
  bool digests = false;
  bool quiet = false;
  bool no_trunc = false;
  std::string filter;
  Args args("images [OPTIONS] [REPOSITORY[:TAG]]",
            "List the images of the store, newest first.");
  args.Flag("--digests", &digests, "show the digest each name stands for");
  args.Flag("-q,--quiet", &quiet, "print image ids only");
  args.Flag("--no-trunc", &no_trunc, "print whole ids");
  args.Positional("REPOSITORY", &filter, false, "only names that match");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  Table table(
      digests
          ? Words{"REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"}
          : Words{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"});
  const int64_t now = SystemClock().NowSeconds();
  const std::vector<store::NamedImage> images =
      app.store().images().List(store::ListDetail::kWithoutLayers);
  for (const store::NamedImage& named : images) {
    for (const Row& row : RowsOf(named)) {
      if (!Matches(row, filter)) continue;
      const store::ImageRecord& image = *row.image;
      const std::string id = no_trunc ? image.id.ToString() : image.id.Short();
      if (quiet) {
        fmt::print("{}\n", id);
        continue;
      }
      const std::string created =
          HumanDuration(std::max<int64_t>(
              0, now - image.created_s.value_or(image.stored_s))) +
          " ago";
      Words cells = {row.repository, row.tag};
      if (digests) cells.push_back(row.digest);
      cells.insert(cells.end(), {id, created, HumanSize(image.size)});
      table.Add(std::move(cells));
    }
  }
  if (!quiet) fmt::print("{}", table.ToString());
  return 0;
}

}  // namespace imgbuild::cli
