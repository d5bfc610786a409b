#include "build/export_archive.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <set>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include <nlohmann/json.hpp>

namespace imgbuild::build {
namespace {

using Json = nlohmann::ordered_json;

std::string BlobPath(const oci::Digest& digest) {
  return fmt::format("blobs/{}/{}", oci::ToString(digest.algorithm()),
                     digest.hex());
}

oci::Descriptor ManifestDescriptor(const BuildResult& result) {
  oci::Descriptor descriptor{result.manifest.media_type,
                             result.manifest.digest,
                             result.manifest.bytes.size(),
                             result.platform,
                             {},
                             {},
                             {}};
  return descriptor;
}

}  // namespace

Archive OciArchive(const BuildResult& result,
                   const std::vector<oci::Reference>& tags) {
  Archive archive;
  archive["oci-layout"] = {R"({"imageLayoutVersion":"1.0.0"})", {}};
  oci::Index index{std::string(oci::media_type::kOciIndex), {}, {}};
  if (tags.empty()) index.manifests.push_back(ManifestDescriptor(result));
  for (const oci::Reference& tag : tags) {
    const oci::Reference name = tag.WithDefaultTag();
    oci::Descriptor entry = ManifestDescriptor(result);
    entry.annotations["io.containerd.image.name"] = name.ToString();
    entry.annotations["org.opencontainers.image.ref.name"] =
        name.tag().value_or("latest");
    index.manifests.push_back(std::move(entry));
  }
  archive["index.json"] = {oci::Serialize(index), {}};
  archive[BlobPath(result.manifest.digest)] = {result.manifest.bytes, {}};
  archive[BlobPath(result.image_id.digest())] = {result.config, {}};
  for (const oci::Descriptor& layer : result.manifest.manifest->layers) {
    archive[BlobPath(layer.digest)] = {"", layer};
  }
  return archive;
}

Archive DockerArchive(const BuildResult& result,
                      const std::vector<oci::Reference>& tags) {
  Archive archive = OciArchive(result, tags);
  Json names = Json::array();
  for (const oci::Reference& tag : tags) {
    names.push_back(tag.WithDefaultTag().Familiar());
  }
  Json layers = Json::array();
  for (const oci::Descriptor& layer : result.manifest.manifest->layers) {
    layers.push_back(BlobPath(layer.digest));
  }
  const Json manifest =
      Json::array({{{"Config", BlobPath(result.image_id.digest())},
                    {"RepoTags", names.empty() ? Json(nullptr) : names},
                    {"Layers", layers}}});
  archive["manifest.json"] = {manifest.dump(), {}};
  return archive;
}

void WriteArchiveTar(const Archive& archive, int64_t mtime, store::Store& store,
                     ThreadPool& pool, Writer& out) {
  layer::LayerWriter tar(out, pool, oci::Compression::kNone);
  std::set<std::string> made;
  for (const auto& [path, file] : archive) {
    layer::Entry entry;
    entry.mtime_s = mtime;
    for (size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      const std::string dir = path.substr(0, slash);
      if (!made.insert(dir).second) continue;
      entry.path = dir;
      entry.type = layer::EntryType::kDirectory;
      entry.mode = 0755;
      tar.Add(entry, nullptr);
    }
    entry.path = path;
    entry.type = layer::EntryType::kFile;
    entry.mode = 0644;
    if (!file.blob) {
      entry.size = file.text.size();
      StringReader text(file.text);
      tar.Add(entry, &text);
      continue;
    }
    const auto blob = store.content().Open(file.blob->digest);
    if (!blob) {
      throw Error(ErrorCode::kHost, fmt::format("blob {} is not in the store",
                                                file.blob->digest.ToString()));
    }
    entry.size = file.blob->size;
    FdReader reader(blob->get(), path);
    tar.Add(entry, &reader);
  }
  tar.Finish();
}

void WriteArchiveDirectory(const Archive& archive, store::Store& store,
                           int dir_fd) {
  for (const auto& [path, file] : archive) {
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) {
      fs::MakeDirs(dir_fd, path.substr(0, slash), 0755);
    }
    if (!file.blob) {
      fs::WriteFileAtomic(dir_fd, path, file.text);
      continue;
    }
    const auto blob = store.content().Open(file.blob->digest);
    if (!blob) {
      throw Error(ErrorCode::kHost, fmt::format("blob {} is not in the store",
                                                file.blob->digest.ToString()));
    }
    const UniqueFd to =
        fs::Open(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    fs::CopyContents(blob->get(), to.get());
  }
}

}  // namespace imgbuild::build
