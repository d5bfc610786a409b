#include "transfer/archive_index.h"

#include <fmt/format.h>

#include "imgbuild/layer/codec.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "transfer/layout_files.h"

namespace imgbuild::transfer {
namespace {

using Json = nlohmann::json;

constexpr int kMaxHops = 8;

oci::Reference ParseName(const std::string& text) {
  try {
    return oci::Reference::Parse(text).WithDefaultTag();
  } catch (const Error& error) {
    throw Refused(fmt::format("{}: {}", Quoted(text), error.message()));
  }
}

ListedImage ParseEntry(const Json& entry) {
  ListedImage image;
  if (entry.contains("RepoTags") && entry["RepoTags"].is_array()) {
    for (const Json& tag : entry["RepoTags"]) {
      image.names.push_back(ParseName(tag.get<std::string>()));
      if (image.names.back().digest()) {
        throw Refused(Quoted(tag.get<std::string>()) + " is no tag");
      }
    }
  }
  image.config = entry.at("Config").get<std::string>();
  for (const Json& layer : entry.at("Layers")) {
    image.layers.push_back(layer.get<std::string>());
  }
  return image;
}

}  // namespace

Error Refused(const std::string& reason) {
  return Error(ErrorCode::kRegistry, "archive: " + reason);
}

std::optional<std::string> CleanArchivePath(std::string_view path) {
  while (path.starts_with("./")) path.remove_prefix(2);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (path == ".") return "";
  for (const std::string& part : Split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return std::nullopt;
  }
  return std::string(path);
}

Error NeitherFileNorDirectory(const std::string& path) {
  return Refused(Quoted(path) + " is neither a file nor a directory")
      .WithHint("links in an archive of images lead to its own files only");
}

void ArchiveLinks::Add(const std::string& path, const std::string& target) {
  std::vector<std::string> parts = Split(path, '/');
  parts.pop_back();
  bool inside = !target.starts_with('/');
  for (const std::string& part : Split(target, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      inside = false;
    } else {
      parts.pop_back();
    }
  }
  if (!inside || parts.empty()) throw NeitherFileNorDirectory(path);
  targets_[path] = Join(parts, "/");
}

std::string ArchiveLinks::Follow(std::string path) const {
  for (int hops = 0; hops < kMaxHops; ++hops) {
    const auto found = targets_.find(path);
    if (found == targets_.end()) break;
    path = found->second;
  }
  return path;
}

std::optional<oci::Digest> PromisedDigest(const std::string& path) {
  const std::vector<std::string> parts = Split(path, '/');
  if (parts.size() != 3 || parts[0] != "blobs") return std::nullopt;
  auto digest = oci::Digest::TryParse(parts[1] + ":" + parts[2]);
  if (!digest) throw Refused(Quoted(path) + " is not named by a digest");
  return digest;
}

std::vector<oci::Reference> NamesOf(const oci::Descriptor& entry) {
  const auto text = [&](const char* key) {
    const auto found = entry.annotations.find(key);
    return found == entry.annotations.end() ? std::string() : found->second;
  };
  const std::string name = text(kImageName);
  if (!name.empty()) return {ParseName(name)};
  // Only a tag as a rule, but some write whole names here.
  const std::string ref = text(kRefName);
  if (ref.find_first_of("/:") == std::string::npos) return {};
  return {ParseName(ref)};
}

std::vector<ListedImage> ParseDockerManifest(std::string_view text) {
  std::vector<ListedImage> images;
  try {
    for (const Json& entry : Json::parse(text)) {
      images.push_back(ParseEntry(entry));
    }
  } catch (const Json::exception& error) {
    throw Refused(std::string("manifest.json: ") + error.what());
  }
  return images;
}

std::string LayerTypeOf(std::string_view first_bytes) {
  switch (layer::SniffCompression(first_bytes)) {
    case layer::ArchiveFormat::kPlain:
      return std::string(oci::media_type::kOciLayerTar);
    case layer::ArchiveFormat::kGzip:
      return std::string(oci::media_type::kOciLayerGzip);
    case layer::ArchiveFormat::kZstd:
      return std::string(oci::media_type::kOciLayerZstd);
    default:
      throw Refused("a layer is compressed with neither gzip nor zstd");
  }
}

oci::Manifest ManifestOf(const ArchivePart& config,
                         std::vector<oci::Descriptor> layers) {
  return {std::string(oci::media_type::kOciManifest),
          {std::string(oci::media_type::kOciConfig),
           config.digest,
           config.size,
           {},
           {},
           {},
           {}},
          std::move(layers),
          {},
          {},
          {}};
}

}  // namespace imgbuild::transfer
