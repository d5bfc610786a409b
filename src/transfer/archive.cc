#include "imgbuild/transfer/archive.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "transfer/archive_tar.h"
#include "transfer/layout_files.h"

namespace imgbuild::transfer {
namespace {

// What a name of the image stands for.
oci::Descriptor Entry(const ArchiveImage& image,
                      const std::optional<oci::Reference>& name) {
  oci::Descriptor entry =
      NamedEntry(image.index ? *image.index : image.manifest, name);
  if (!image.index) entry.platform = image.platform;
  entry.annotations.insert(image.annotations.begin(), image.annotations.end());
  return entry;
}

void AddBlobs(const ArchiveImage& image, Archive& archive) {
  if (image.index) {
    archive[BlobFile(image.index->digest)] = {image.index->bytes, {}};
  }
  archive[BlobFile(image.manifest.digest)] = {image.manifest.bytes, {}};
  archive[BlobFile(image.id.digest())] = {image.config, {}};
  for (const oci::Descriptor& layer : image.manifest.manifest->layers) {
    archive[BlobFile(layer.digest)] = {"", layer};
  }
}

UniqueFd OpenBlob(store::Store& store, const oci::Digest& digest) {
  auto blob = store.content().Open(digest);
  if (blob) return std::move(*blob);
  throw Error(ErrorCode::kHost,
              fmt::format("blob {} is not in the store", digest.ToString()));
}

}  // namespace

Archive OciArchive(const std::vector<ArchiveImage>& images) {
  Archive archive;
  archive[kLayoutFile] = {kLayoutText, {}};
  oci::Index index{std::string(oci::media_type::kOciIndex), {}, {}};
  for (const ArchiveImage& image : images) {
    AddBlobs(image, archive);
    if (image.names.empty()) index.manifests.push_back(Entry(image, {}));
    for (const oci::Reference& name : image.names) {
      index.manifests.push_back(Entry(image, name.WithDefaultTag()));
    }
  }
  archive[kIndexFile] = {oci::Serialize(index), {}};
  return archive;
}

Archive DockerArchive(const std::vector<ArchiveImage>& images) {
  Archive archive = OciArchive(images);
  std::vector<DockerImage> listed;
  for (const ArchiveImage& image : images) {
    listed.push_back(
        {image.id.digest(), image.names, image.manifest.manifest->layers});
  }
  archive[kDockerManifestFile] = {DockerManifest(listed), {}};
  return archive;
}

void WriteArchiveTar(const Archive& archive, int64_t mtime, store::Store& store,
                     ThreadPool& pool, Writer& out) {
  ArchiveTar tar(out, pool, mtime);
  for (const auto& [path, file] : archive) {
    if (!file.blob) {
      tar.AddText(path, file.text);
      continue;
    }
    const UniqueFd blob = OpenBlob(store, file.blob->digest);
    FdReader reader(blob.get(), path);
    tar.AddFile(path, file.blob->size, reader);
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
    const UniqueFd blob = OpenBlob(store, file.blob->digest);
    const UniqueFd to =
        fs::Open(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    fs::CopyContents(blob.get(), to.get());
  }
}

}  // namespace imgbuild::transfer
