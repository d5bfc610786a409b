#include "transfer/archive_tar.h"

#include <nlohmann/json.hpp>

#include "transfer/layout_files.h"

namespace imgbuild::transfer {

using Json = nlohmann::ordered_json;

std::string DockerManifest(const std::vector<DockerImage>& images) {
  Json entries = Json::array();
  for (const DockerImage& image : images) {
    Json names = Json::array();
    for (const oci::Reference& name : image.names) {
      if (!name.digest()) names.push_back(name.WithDefaultTag().Familiar());
    }
    Json layers = Json::array();
    for (const oci::Descriptor& layer : image.layers) {
      layers.push_back(BlobFile(layer.digest));
    }
    entries.push_back({{"Config", BlobFile(image.config)},
                       {"RepoTags", names.empty() ? Json(nullptr) : names},
                       {"Layers", std::move(layers)}});
  }
  return entries.dump();
}

oci::Descriptor NamedEntry(const oci::Document& root,
                           const std::optional<oci::Reference>& name) {
  oci::Descriptor entry =
      LayoutEntry(root, name ? name->tag().value_or("") : "");
  if (name) entry.annotations[kImageName] = name->ToString();
  return entry;
}

void ArchiveTar::AddText(const std::string& path, const std::string& text) {
  StringReader reader(text);
  AddFile(path, text.size(), reader);
}

void ArchiveTar::AddFile(const std::string& path, uint64_t size,
                         Reader& content) {
  layer::Entry entry;
  entry.mtime_s = mtime_;
  for (size_t slash = path.find('/'); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    entry.path = path.substr(0, slash);
    if (!directories_.insert(entry.path).second) continue;
    entry.type = layer::EntryType::kDirectory;
    entry.mode = 0755;
    tar_.Add(entry, nullptr);
  }
  entry.path = path;
  entry.type = layer::EntryType::kFile;
  entry.mode = 0644;
  entry.size = size;
  tar_.Add(entry, &content);
}

}  // namespace imgbuild::transfer
