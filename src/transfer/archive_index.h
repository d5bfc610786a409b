// What an archive of images says of itself, read: index.json and Docker's
// manifest.json. Nothing in it is trusted.
#ifndef IMGBUILD_SRC_TRANSFER_ARCHIVE_INDEX_H_
#define IMGBUILD_SRC_TRANSFER_ARCHIVE_INDEX_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/util/error.h"

namespace imgbuild::transfer {

inline constexpr uint64_t kMaxArchiveFiles = 100'000;

// Error(kRegistry) "archive: REASON".
Error Refused(const std::string& reason);

// What `path` is not, and no archive may hold.
Error NeitherFileNorDirectory(const std::string& path);

// "./a/b" is "a/b", the root ""; nullopt for what leads anywhere else.
std::optional<std::string> CleanArchivePath(std::string_view path);
// The symbolic links of an archive: second names of its files, for
// manifest.json alone (older Docker writes equal layers so, others for older
// Docker's sake). They are followed by text; nothing is ever looked up on a
// disk.
class ArchiveLinks {
 public:
  // `path` is clean. Throws Refused() for a target that is absolute or leads
  // out of the archive.
  void Add(const std::string& path, const std::string& target);
  // The path of a file for what may be a link's.
  std::string Follow(std::string path) const;

 private:
  std::map<std::string, std::string> targets_;
};

// blobs/ALGORITHM/HEX: the digest that the name promises; nullopt for other
// files. Throws Refused().
std::optional<oci::Digest> PromisedDigest(const std::string& path);

// The whole names of an entry of index.json; a mere tag is none.
std::vector<oci::Reference> NamesOf(const oci::Descriptor& entry);

// An image of manifest.json: paths as they stand there, names with their tags.
struct ListedImage {
  std::string config;
  std::vector<oci::Reference> names;
  std::vector<std::string> layers;
};
// Throws Refused().
std::vector<ListedImage> ParseDockerManifest(std::string_view text);

// The media type of a layer that begins so. Throws Refused().
std::string LayerTypeOf(std::string_view first_bytes);

// A manifest for what manifest.json lists without one.
struct ArchivePart {
  oci::Digest digest;
  uint64_t size = 0;
};
oci::Manifest ManifestOf(const ArchivePart& config,
                         std::vector<oci::Descriptor> layers);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_SRC_TRANSFER_ARCHIVE_INDEX_H_
