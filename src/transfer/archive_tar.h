// How an archive of images is written: the one form that `save`, `build
// --output` and `copy` make.
#ifndef IMGBUILD_SRC_TRANSFER_ARCHIVE_TAR_H_
#define IMGBUILD_SRC_TRANSFER_ARCHIVE_TAR_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::transfer {

inline constexpr char kDockerManifestFile[] = "manifest.json";

// One image of manifest.json. Names without a tag get `latest`; a digest has
// no place there, so names with one are left out.
struct DockerImage {
  oci::Digest config;
  std::vector<oci::Reference> names;
  std::vector<oci::Descriptor> layers;
};
std::string DockerManifest(const std::vector<DockerImage>& images);

// The entry of index.json for what `name` stands for.
oci::Descriptor NamedEntry(const oci::Document& root,
                           const std::optional<oci::Reference>& name);

// Files in ascending order; directories are made on the way.
class ArchiveTar {
 public:
  // All arguments must outlive it.
  ArchiveTar(Writer& out, ThreadPool& pool, int64_t mtime)
      : mtime_(mtime), tar_(out, pool, oci::Compression::kNone) {}

  void AddText(const std::string& path, const std::string& text);
  // REQUIRES: `content` has `size` bytes.
  void AddFile(const std::string& path, uint64_t size, Reader& content);
  void Finish() { tar_.Finish(); }

 private:
  const int64_t mtime_;
  layer::LayerWriter tar_;
  std::set<std::string> directories_;
};

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_SRC_TRANSFER_ARCHIVE_TAR_H_
