// Images as files: an OCI layout (directory or tar) and Docker's archive; what
// `save` and `build --output` write and `load` reads.
#ifndef IMGBUILD_TRANSFER_ARCHIVE_H_
#define IMGBUILD_TRANSFER_ARCHIVE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::transfer {

// One file of an archive: text, or a blob of the store.
struct ArchiveFile {
  std::string text;
  std::optional<oci::Descriptor> blob;
};
// By path, in the order in which they are written.
using Archive = std::map<std::string, ArchiveFile>;

struct ArchiveImage {
  oci::Document manifest;
  std::string config;  // exact bytes
  oci::ImageId id;
  oci::Platform platform;
  // NAME:TAG or NAME@DIGEST, the digest being that of the manifest or of
  // `index`. What a name without either means is up to the caller.
  std::vector<oci::Reference> names;
  // The names stand for this index, of which `manifest` is one.
  std::optional<oci::Document> index;
  // Of its entries in index.json, beside the names.
  std::map<std::string, std::string> annotations = {};
};

// oci-layout, index.json (an entry a name, so that tags and digests survive)
// and the blobs.
Archive OciArchive(const std::vector<ArchiveImage>& images);
// The same with manifest.json for `docker load`: both in one, as Docker's own
// `save` writes it since version 25. Digests have no place in manifest.json.
Archive DockerArchive(const std::vector<ArchiveImage>& images);

// REQUIRES: the blobs are in the store (Error(kHost) otherwise).
void WriteArchiveTar(const Archive& archive, int64_t mtime, store::Store& store,
                     ThreadPool& pool, Writer& out);
void WriteArchiveDirectory(const Archive& archive, store::Store& store,
                           int dir_fd);

struct LoadedImage {
  oci::ImageId id;
  std::vector<oci::Reference> names;
  // Names that stood for another image before.
  std::vector<std::pair<oci::Reference, oci::ImageId>> moved;
};

// Reads a tar archive (plain or compressed with gzip, zstd, bzip2 or xz) of
// either form, or both, into the store: verified, unpacked, named. Nothing is
// written anywhere but into the store under its own digest, and no name is set
// before all images are there. Of an index the manifests that the archive has
// are loaded, with `platform` only that one. Refused with Error(kRegistry):
// names that are not clean relative paths, links and devices, a file twice,
// blobs that are not what their names say, missing parts, configs whose
// DiffIds are not their layers'. `ingested` gets the digest of everything that
// came in, also when it throws: sweep them then. With `keep_tags` an archive
// that would move a tag of the store to another image is refused,
// Error(kFailed).
std::vector<LoadedImage> LoadArchive(
    store::Store& store, Transfer& transfer, Reader& input,
    const std::optional<oci::Platform>& platform,
    std::vector<oci::Digest>* ingested, bool keep_tags = false);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_ARCHIVE_H_
