// `imgbuild images`.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_rows.h"
#include "cli/image_tree.h"
#include "cli/list_format.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

struct Options {
  bool all = false;
  bool quiet = false;
  bool no_trunc = false;
  bool digests = false;
  bool tree = false;
  std::vector<std::string> filters;
  std::string format;
  std::string pattern;
};

const ListFormat::Headers& Headers() {
  static const ListFormat::Headers headers = {{"ID", "IMAGE ID"},
                                              {"Repository", "REPOSITORY"},
                                              {"Tag", "TAG"},
                                              {"Digest", "DIGEST"},
                                              {"CreatedSince", "CREATED"},
                                              {"CreatedAt", "CREATED AT"},
                                              {"Size", "SIZE"},
                                              {"Containers", "CONTAINERS"},
                                              {"SharedSize", "SHARED SIZE"},
                                              {"UniqueSize", "UNIQUE SIZE"},
                                              {"VirtualSize", "SIZE"},
                                              {"Platform", "PLATFORM"}};
  return headers;
}

// How much of each image is its own, and how much another one has too.
class SharedSizes {
 public:
  explicit SharedSizes(App& app) : app_(app) {
    for (const store::NamedImage& named : app.store().images().List()) {
      for (const oci::DiffId& diff_id : named.image.diff_ids) {
        ++users_[diff_id.ToString()];
      }
      layers_[named.image.manifest.ToString()] = named.image.diff_ids;
    }
  }
  uint64_t SharedOf(const store::ImageRecord& image) const {
    uint64_t shared = 0;
    for (const oci::DiffId& diff_id : layers_.at(image.manifest.ToString())) {
      if (users_.at(diff_id.ToString()) < 2) continue;
      const auto layer = app_.store().cache().FindLayer(diff_id);
      if (layer) shared += layer->tar_size;
    }
    return std::min(shared, image.size);
  }

 private:
  App& app_;
  std::map<std::string, int> users_;
  std::map<std::string, std::vector<oci::DiffId>> layers_;
};

Json RowOf(App& app, const ImageRow& row, const Options& options,
           const ListFormat& format, const SharedSizes* shared, int64_t now_s) {
  const store::ImageRecord& image = *row.image;
  const int64_t created = CreatedOf(image);
  Json out = {{"Containers", "N/A"},
              {"CreatedAt", ""},
              {"CreatedSince",
               HumanDuration(std::max<int64_t>(0, now_s - created)) + " ago"},
              {"Digest", row.digest},
              {"ID", options.no_trunc ? image.id.ToString() : image.id.Short()},
              {"Platform", ""},
              {"Repository", row.repository},
              {"SharedSize", "N/A"},
              {"Size", HumanSize(image.size)},
              {"Tag", row.tag},
              {"UniqueSize", "N/A"},
              {"VirtualSize", HumanSize(image.size)}};
  if (format.Mentions("CreatedAt")) out["CreatedAt"] = LocalTime(created);
  if (format.Mentions("Platform")) out["Platform"] = image.platform.ToString();
  if (format.Mentions("Containers")) {
    out["Containers"] =
        std::to_string(app.store().containers().UsersOf(image.id).size());
  }
  if (shared != nullptr) {
    const uint64_t size = shared->SharedOf(image);
    out["SharedSize"] = HumanSize(size);
    out["UniqueSize"] = HumanSize(image.size - size);
  }
  return out;
}

void PrintQuietly(const std::vector<ImageRow>& rows, bool no_trunc) {
  std::string out;
  for (const ImageRow& row : rows) {
    out += no_trunc ? row.image->id.ToString() : row.image->id.Short();
    out += '\n';
  }
  fmt::print("{}", out);
}

// The usual table, without the detour over JSON: a store may have thousands.
std::string UsualTable(const std::vector<ImageRow>& rows,
                       const Options& options, int64_t now_s) {
  Words header = {"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"};
  if (options.digests) header.insert(header.begin() + 2, "DIGEST");
  Table table(std::move(header));
  for (const ImageRow& row : rows) {
    const store::ImageRecord& image = *row.image;
    Words cells = {
        row.repository, row.tag,
        options.no_trunc ? image.id.ToString() : image.id.Short(),
        HumanDuration(std::max<int64_t>(0, now_s - CreatedOf(image))) + " ago",
        HumanSize(image.size)};
    if (options.digests) cells.insert(cells.begin() + 2, row.digest);
    table.Add(std::move(cells));
  }
  return table.ToString();
}

bool ParseOptions(App& app, const Words& words, Options& options) {
  Args args("images [OPTIONS] [REPOSITORY[:TAG]]",
            "List the images of the store, the newest first.");
  args.Flag("-a,--all", &options.all,
            "list all images (there are no hidden ones here)");
  args.Flag("--digests", &options.digests,
            "show the digest each name stands for");
  args.List("-f,--filter", &options.filters, "KEY=VALUE",
            "before=IMAGE, since=IMAGE, until=TIME, dangling=BOOL, "
            "label=KEY[=VALUE], reference=PATTERN");
  args.Value("--format", &options.format, "FORMAT",
             "table, table TEMPLATE, json, or a Go template with .ID "
             ".Repository .Tag .Digest .CreatedSince .CreatedAt .Size "
             ".VirtualSize .SharedSize .UniqueSize .Containers .Platform");
  args.Flag("--no-trunc", &options.no_trunc, "print whole ids");
  args.Flag("-q,--quiet", &options.quiet, "print image ids only");
  args.Flag("--tree", &options.tree, "show indexes and their platforms");
  args.Positional("REPOSITORY", &options.pattern, false,
                  "only names that match");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return false;
  if (options.tree &&
      (options.quiet || options.digests || !options.format.empty())) {
    throw Error(ErrorCode::kUsage,
                "--tree has a form of its own: it goes with neither --quiet, "
                "--digests nor --format");
  }
  return true;
}

}  // namespace

int ImagesCommand(App& app, const Words& words) {
  Options options;
  if (!ParseOptions(app, words, options)) return 0;
  const ListFormat format(options.format, "", Headers());
  const ListFilter filter(options.filters, ImageFilterKeys());
  const int64_t now_s = SystemClock().NowSeconds();
  const std::vector<store::NamedImage> images =
      app.store().images().List(store::ListDetail::kWithoutLayers);
  const std::vector<ImageRow> rows =
      FilterRows(app, RowsOf(images), filter, options.pattern, now_s);
  if (options.tree) {
    fmt::print("{}", ImageTree(app, rows, options.no_trunc));
    return 0;
  }
  if (options.quiet && options.format.empty()) {
    PrintQuietly(rows, options.no_trunc);
    return 0;
  }
  if (options.format.empty() || options.format == "table") {
    fmt::print("{}", UsualTable(rows, options, now_s));
    return 0;
  }
  std::optional<SharedSizes> shared;
  if (format.Mentions("SharedSize") || format.Mentions("UniqueSize")) {
    shared.emplace(app);
  }
  std::vector<Json> out;
  out.reserve(rows.size());
  for (const ImageRow& row : rows) {
    out.push_back(
        RowOf(app, row, options, format, shared ? &*shared : nullptr, now_s));
  }
  fmt::print("{}", format.Render(out));
  return 0;
}

}  // namespace imgbuild::cli
