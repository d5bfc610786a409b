// `imgbuild history`: how an image was made, newest step first.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/clock.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/image_lookup.h"
#include "cli/list_format.h"

namespace imgbuild::cli {
namespace {

struct Options {
  bool no_trunc = false;
  bool quiet = false;
  bool digests = false;
  bool human = true;
  std::string format;
  std::string platform;
  std::string image;
};

// Docker cuts a long step at 45 characters.
constexpr size_t kShownStep = 45;

std::string Cut(const std::string& text) {
  size_t runes = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (++runes == kShownStep) {
      // Room for one more, unless that one is the last.
      const auto left = std::ranges::count_if(
          text.substr(i), [](char c) { return (c & 0xC0) != 0x80; });
      if (left > 1) return text.substr(0, i) + "…";
    }
  }
  return text;
}

// What a layer takes when it is unpacked; its blob's size while that is
// unknown.
uint64_t LayerSize(App& app, const store::ImageRecord& image, size_t i) {
  if (const auto layer = app.store().cache().FindLayer(image.diff_ids[i])) {
    return layer->tar_size;
  }
  return i < image.layers.size() ? image.layers[i].size : 0;
}

std::vector<Json> RowsOfHistory(App& app, const LoadedImage& image,
                                const Options& options, bool human) {
  const int64_t now_s = SystemClock().NowSeconds();
  std::vector<Json> rows;
  size_t layer = 0;
  for (const oci::History& step : image.config.history) {
    const bool has_layer =
        !step.empty_layer && layer < image.record.diff_ids.size();
    const uint64_t size = has_layer ? LayerSize(app, image.record, layer) : 0;
    const auto created = ParseRfc3339(step.created.value_or(""));
    const std::string at = created ? FormatRfc3339(*created) : "";
    const std::string since =
        created ? HumanDuration(std::max<int64_t>(0, now_s - *created)) + " ago"
                : "N/A";
    std::string by = step.created_by;
    std::ranges::replace(by, '\t', ' ');
    const std::string digest =
        has_layer && layer < image.record.layers.size()
            ? image.record.layers[layer].digest.ToString()
            : "";
    rows.push_back(
        {{"Comment", step.comment},
         {"CreatedAt", at},
         {"CreatedBy", options.no_trunc ? by : Cut(by)},
         {"CreatedSince", human ? since : at},
         {"Digest", digest.empty() ? "<none>" : digest},
         {"DiffID", has_layer ? image.record.diff_ids[layer].ToString()
                              : std::string("<none>")},
         {"ID", "<missing>"},
         {"Size", human ? HumanSize(size) : std::to_string(size)}});
    if (has_layer) ++layer;
  }
  std::ranges::reverse(rows);
  if (!rows.empty()) {
    rows.front()["ID"] =
        options.no_trunc ? image.record.id.ToString() : image.record.id.Short();
  }
  return rows;
}

// Docker's users write -H=false, which CLI11 knows of long names only.
Words LongHuman(Words words) {
  for (std::string& word : words) {
    if (word.starts_with("-H=")) word = "--human" + word.substr(2);
  }
  return words;
}

}  // namespace

int HistoryCommand(App& app, const Words& words) {
  Options options;
  Args args("history [OPTIONS] IMAGE", "Show how an image was made.");
  args.Flag("--digests", &options.digests, "show the digest of each layer");
  args.Value("--format", &options.format, "FORMAT",
             "table, table TEMPLATE, json, or a Go template with .ID "
             ".CreatedSince .CreatedAt .CreatedBy .Size .Comment .Digest "
             ".DiffID");
  args.Flag("-H,--human", &options.human, "sizes and times for people");
  args.Flag("--no-trunc", &options.no_trunc, "print whole ids and steps");
  args.Value("--platform", &options.platform, "OS/ARCH[/VARIANT]",
             "that platform's image of an index");
  args.Flag("-q,--quiet", &options.quiet, "print image ids only");
  args.Positional("IMAGE", &options.image, true,
                  "NAME[:TAG], NAME@DIGEST or an image id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(LongHuman(words))) return 0;

  const bool human = options.human;
  const std::string digest = options.digests ? "{{.Digest}}\t" : "";
  const ListFormat format(
      options.quiet ? "{{.ID}}" : options.format,
      "table {{.ID}}\t" + digest +
          "{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
      {{"ID", "IMAGE"},
       {"Digest", "LAYER DIGEST"},
       {"DiffID", "DIFF ID"},
       {"CreatedSince", human ? "CREATED" : "CREATED AT"},
       {"CreatedAt", "CREATED AT"},
       {"CreatedBy", "CREATED BY"},
       {"Size", "SIZE"},
       {"Comment", "COMMENT"}});
  const store::Match match = RequireImage(app, options.image);
  const LoadedImage image =
      LoadImage(app, OfPlatform(app, match, options.image, options.platform));
  fmt::print("{}", format.Render(RowsOfHistory(app, image, options, human)));
  return 0;
}

}  // namespace imgbuild::cli
