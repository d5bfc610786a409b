#include "imgbuild/transfer/archive.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <set>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include <nlohmann/json.hpp>

namespace imgbuild::transfer {
namespace {

using Json = nlohmann::ordered_json;

std::string BlobPath(const oci::Digest& digest) {
  return fmt::format("blobs/{}/{}", oci::ToString(digest.algorithm()),
                     digest.hex());
}

// What a name of the image stands for.
oci::Descriptor TargetOf(const ArchiveImage& image) {
  const oci::Document& document = image.index ? *image.index : image.manifest;
  oci::Descriptor descriptor{document.media_type,
                             document.digest,
                             document.bytes.size(),
                             std::nullopt,
                             {},
                             {},
                             {}};
  if (!image.index) descriptor.platform = image.platform;
  return descriptor;
}

void AddBlobs(const ArchiveImage& image, Archive& archive) {
  if (image.index) {
    archive[BlobPath(image.index->digest)] = {image.index->bytes, {}};
  }
  archive[BlobPath(image.manifest.digest)] = {image.manifest.bytes, {}};
  archive[BlobPath(image.id.digest())] = {image.config, {}};
  for (const oci::Descriptor& layer : image.manifest.manifest->layers) {
    archive[BlobPath(layer.digest)] = {"", layer};
  }
}

}  // namespace

Archive OciArchive(const std::vector<ArchiveImage>& images) {
  Archive archive;
  archive["oci-layout"] = {R"({"imageLayoutVersion":"1.0.0"})", {}};
  oci::Index index{std::string(oci::media_type::kOciIndex), {}, {}};
  for (const ArchiveImage& image : images) {
    AddBlobs(image, archive);
    if (image.names.empty()) index.manifests.push_back(TargetOf(image));
    for (const oci::Reference& reference : image.names) {
      const oci::Reference name = reference.WithDefaultTag();
      oci::Descriptor entry = TargetOf(image);
      entry.annotations["io.containerd.image.name"] = name.ToString();
      if (name.tag()) {
        entry.annotations["org.opencontainers.image.ref.name"] = *name.tag();
      }
      index.manifests.push_back(std::move(entry));
    }
  }
  archive["index.json"] = {oci::Serialize(index), {}};
  return archive;
}

Archive DockerArchive(const std::vector<ArchiveImage>& images) {
  Archive archive = OciArchive(images);
  Json entries = Json::array();
  for (const ArchiveImage& image : images) {
    Json names = Json::array();
    for (const oci::Reference& name : image.names) {
      if (!name.digest()) names.push_back(name.WithDefaultTag().Familiar());
    }
    Json layers = Json::array();
    for (const oci::Descriptor& layer : image.manifest.manifest->layers) {
      layers.push_back(BlobPath(layer.digest));
    }
    entries.push_back({{"Config", BlobPath(image.id.digest())},
                       {"RepoTags", names.empty() ? Json(nullptr) : names},
                       {"Layers", std::move(layers)}});
  }
  archive["manifest.json"] = {entries.dump(), {}};
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

}  // namespace imgbuild::transfer
