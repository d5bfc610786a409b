// `imgbuild inspect`: an image as Docker's JSON.
#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

Json Describe(App& app, const LoadedImage& image) {
  const Json config = Json::parse(image.config_bytes);
  Json tags = Json::array();
  Json digests = Json::array();
  for (const store::NameRecord& name :
       app.store().images().NamesOf(image.record.manifest)) {
    const std::string repository = name.repository.Familiar();
    if (name.tag) tags.push_back(repository + ":" + *name.tag);
    const std::string digest = repository + "@" + name.target.ToString();
    if (std::ranges::find(digests, Json(digest)) == digests.end()) {
      digests.push_back(digest);
    }
  }
  Json layers = Json::array();
  for (const oci::DiffId& diff_id : image.record.diff_ids) {
    layers.push_back(diff_id.ToString());
  }
  return {{"Id", image.record.id.ToString()},
          {"RepoTags", std::move(tags)},
          {"RepoDigests", std::move(digests)},
          {"Parent", ""},
          {"Comment", ""},
          {"Created", image.config.created.value_or("")},
          {"Author", image.config.author},
          {"Config", config.value("config", Json::object())},
          {"Architecture", image.config.platform.architecture},
          {"Variant", image.config.platform.variant},
          {"Os", image.config.platform.os},
          {"Size", image.record.size},
          {"RootFS", {{"Type", "layers"}, {"Layers", std::move(layers)}}},
          {"Metadata", {{"StoredAt", FormatRfc3339(image.record.stored_s)}}},
          {"Descriptor",
           {{"mediaType", Json::parse(image.manifest).value("mediaType", "")},
            {"digest", image.record.manifest.ToString()},
            {"size", image.manifest.size()}}}};
}

}  // namespace

int InspectCommand(App& app, const Words& words) {
  std::vector<std::string> names;
  Args args("inspect IMAGE…", "Show images as JSON.");
  args.Positionals("IMAGE", &names, true,
                   "NAME[:TAG], NAME@DIGEST or an image id");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  Json out = Json::array();
  int status = 0;
  for (const std::string& name : names) {
    try {
      out.push_back(
          Describe(app, LoadImage(app, RequireImage(app, name).image)));
    } catch (const Error& error) {
      std::fputs(error.Render().c_str(), stderr);
      status = static_cast<int>(error.code());
    }
  }
  fmt::print("{}\n", out.dump(4, ' ', false, Json::error_handler_t::replace));
  return status;
}

}  // namespace imgbuild::cli
