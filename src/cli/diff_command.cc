// `imgbuild diff A B`: what is different between two images, in their configs,
// packages, files and layers.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/image_diff.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::json;

// "Env.PATH" -> "/bin", "Cmd" -> ["sh"]: one entry a thing that people would
// name.
std::map<std::string, std::string> ConfigMap(const LoadedImage& image) {
  std::map<std::string, std::string> out;
  const Json document = Json::parse(image.config_bytes);
  for (const char* key : {"architecture", "os", "variant", "author"}) {
    if (document.contains(key)) out[key] = document[key].dump();
  }
  if (!document.contains("config") || !document["config"].is_object()) {
    return out;
  }
  for (const auto& [key, value] : document["config"].items()) {
    if (key == "Env" && value.is_array()) {
      for (const std::string& variable : image.config.env) {
        const size_t equals = variable.find('=');
        out["Env." + variable.substr(0, equals)] =
            equals == std::string::npos ? "" : variable.substr(equals + 1);
      }
    } else if (value.is_object()) {
      for (const auto& [name, inner] : value.items()) {
        out[key + "." + name] = inner.dump();
      }
    } else if (!value.is_null()) {
      out[key] = value.dump();
    }
  }
  return out;
}

void AddLayerLines(const store::ImageRecord& a, const store::ImageRecord& b,
                   std::vector<std::string>& lines) {
  const size_t common = static_cast<size_t>(
      std::ranges::mismatch(a.diff_ids, b.diff_ids).in1 - a.diff_ids.begin());
  const auto add = [&](const char* sign, const store::ImageRecord& image,
                       size_t i) {
    lines.push_back(fmt::format("{} {} {}", sign,
                                image.layers[i].digest.ToString(),
                                HumanSize(image.layers[i].size)));
  };
  for (size_t i = 0; i < common; ++i) add("=", a, i);
  for (size_t i = common; i < a.layers.size(); ++i) add("-", a, i);
  for (size_t i = common; i < b.layers.size(); ++i) add("+", b, i);
}

struct Side {
  store::ImageRecord record;
  LoadedImage loaded;
};

Side Load(App& app, const std::string& word, const std::string& platform) {
  const store::Match match = RequireImage(app, word);
  const store::ImageRecord record = OfPlatform(app, match, word, platform);
  return {record, LoadImage(app, record)};
}

std::shared_ptr<const FileTree> TreeOf(App& app, const Side& side) {
  std::vector<transfer::LayerName> layers;
  for (size_t i = 0; i < side.record.layers.size(); ++i) {
    layers.push_back({side.record.diff_ids.at(i), side.record.layers[i]});
  }
  app.transfer().EnsureUnpacked(layers);
  return app.store().snapshots().View(side.record.diff_ids);
}

void PrintSection(const char* title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  fmt::print("{}:\n", title);
  for (const std::string& line : lines) fmt::print("  {}\n", line);
}

}  // namespace

int DiffCommand(App& app, const Words& words) {
  std::string from;
  std::string to;
  std::string platform;
  std::vector<std::string> types;
  Args args("diff [OPTIONS] IMAGE IMAGE",
            "Show what the second image has otherwise than the first.");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "that platform's image of an index");
  args.List("--type", &types, "TYPE",
            "config, packages, files or layers; all, if not given; may repeat");
  args.Positional("FROM", &from, true, "NAME[:TAG], NAME@DIGEST or an id");
  args.Positional("TO", &to, true, "the other one");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  for (const std::string& type : types) {
    if (type != "config" && type != "packages" && type != "files" &&
        type != "layers") {
      throw Error(ErrorCode::kUsage, "--type: no such type: " + type)
          .WithHint("config, packages, files or layers");
    }
  }
  const auto wants = [&](const char* type) {
    return types.empty() || std::ranges::find(types, type) != types.end();
  };
  const auto lease = app.store().Hold();
  const Side a = Load(app, from, platform);
  const Side b = Load(app, to, platform);
  if (wants("config")) {
    PrintSection("Config", DiffMaps(ConfigMap(a.loaded), ConfigMap(b.loaded)));
  }
  const bool same_files = a.record.diff_ids == b.record.diff_ids;
  if (!same_files && (wants("packages") || wants("files"))) {
    RequireRoot();
    const auto tree_a = TreeOf(app, a);
    const auto tree_b = TreeOf(app, b);
    if (wants("packages")) {
      PrintSection("Packages",
                   DiffMaps(PackagesOf(*tree_a), PackagesOf(*tree_b)));
    }
    if (wants("files")) {
      PrintSection("Files", DiffFiles(*tree_a, *tree_b, app.cancel));
    }
  }
  if (wants("layers") && !same_files) {
    std::vector<std::string> lines;
    AddLayerLines(a.record, b.record, lines);
    PrintSection("Layers", lines);
  }
  return 0;
}

}  // namespace imgbuild::cli
