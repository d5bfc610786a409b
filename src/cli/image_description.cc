#include "cli/image_description.h"

#include <algorithm>
#include <map>

#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

// "Config", as Docker gives it: keys in order, the usual ones always there.
Json ConfigOf(const LoadedImage& image) {
  const Json document = Json::parse(image.config_bytes);
  std::map<std::string, Json> members = {
      {"Cmd", nullptr},     {"Entrypoint", nullptr}, {"Env", nullptr},
      {"Labels", nullptr},  {"OnBuild", nullptr},    {"User", ""},
      {"Volumes", nullptr}, {"WorkingDir", ""},
  };
  if (document.contains("config") && document["config"].is_object()) {
    for (const auto& [key, value] : document["config"].items()) {
      members[key] = value;
    }
  }
  for (const char* map : {"Labels", "Volumes", "ExposedPorts"}) {
    const auto found = members.find(map);
    if (found == members.end() || !found->second.is_object()) continue;
    std::map<std::string, Json> sorted;
    for (const auto& [key, value] : found->second.items()) sorted[key] = value;
    found->second = Json::object();
    for (const auto& [key, value] : sorted) found->second[key] = value;
  }
  Json out = Json::object();
  for (auto& [key, value] : members) out[key] = std::move(value);
  return out;
}

void AddNames(App& app, const LoadedImage& image, Json& tags, Json& digests) {
  for (const store::NameRecord& name :
       app.store().images().NamesOf(image.record.manifest)) {
    const std::string repository = name.repository.Familiar();
    if (name.tag) tags.push_back(repository + ":" + *name.tag);
    const std::string digest = repository + "@" + name.target.ToString();
    if (std::ranges::find(digests, Json(digest)) == digests.end()) {
      digests.push_back(digest);
    }
  }
}

}  // namespace

Json DescribeImage(App& app, const LoadedImage& image) {
  Json tags = Json::array();
  Json digests = Json::array();
  AddNames(app, image, tags, digests);
  Json layers = Json::array();
  for (const oci::DiffId& diff_id : image.record.diff_ids) {
    layers.push_back(diff_id.ToString());
  }
  const std::string comment =
      image.config.history.empty() ? "" : image.config.history.back().comment;
  Json out = {{"Id", image.record.id.ToString()},
              {"RepoTags", std::move(tags)},
              {"RepoDigests", std::move(digests)},
              {"Parent", ""},
              {"Comment", comment},
              {"Created", image.config.created.value_or("")},
              {"DockerVersion", ""},
              {"Author", image.config.author},
              {"Architecture", image.config.platform.architecture}};
  if (!image.config.platform.variant.empty()) {
    out["Variant"] = image.config.platform.variant;
  }
  out["Os"] = image.config.platform.os;
  if (!image.config.platform.os_version.empty()) {
    out["OsVersion"] = image.config.platform.os_version;
  }
  out["Size"] = image.record.size;
  out["RootFS"] = {{"Type", "layers"}, {"Layers", std::move(layers)}};
  out["Metadata"] = {{"LastTagTime", FormatRfc3339(image.record.stored_s)}};
  out["Descriptor"] = {
      {"mediaType", Json::parse(image.manifest).value("mediaType", "")},
      {"digest", image.record.manifest.ToString()},
      {"size", image.manifest.size()}};
  out["Config"] = ConfigOf(image);
  return out;
}

TemplateShape ImageShape() {
  TemplateShape shape;
  shape.maps = {"Labels", "ExposedPorts", "Volumes", "Annotations"};
  shape.lists = {"Cmd",   "Entrypoint", "Env",   "OnBuild",
                 "Shell", "Test",       "Layers"};
  shape.texts = {"Variant", "OsVersion", "StopSignal", "Hostname",
                 "Domainname"};
  shape.durations = {"Interval", "Timeout", "StartPeriod", "StartInterval"};
  shape.optional = {"Healthcheck", "ArgsEscaped", "GraphDriver"};
  return shape;
}

}  // namespace imgbuild::cli
