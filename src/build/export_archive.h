// Images as files: an OCI layout (directory or tar) and Docker's archive.
#ifndef IMGBUILD_BUILD_EXPORT_ARCHIVE_H_
#define IMGBUILD_BUILD_EXPORT_ARCHIVE_H_

#include <map>
#include <string>
#include <vector>

#include "imgbuild/build/builder.h"

namespace imgbuild::build {

// One file of an archive: text, or a blob of the store.
struct ArchiveFile {
  std::string text;
  std::optional<oci::Descriptor> blob;
};
// By path, in the order in which they are written.
using Archive = std::map<std::string, ArchiveFile>;

// oci-layout, index.json (one entry a tag) and the blobs.
Archive OciArchive(const BuildResult& result,
                   const std::vector<oci::Reference>& tags);
// The same with manifest.json for `docker load`: both in one, as Docker's own
// `save` writes it since version 25.
Archive DockerArchive(const BuildResult& result,
                      const std::vector<oci::Reference>& tags);

void WriteArchiveTar(const Archive& archive, int64_t mtime, store::Store& store,
                     ThreadPool& pool, Writer& out);
void WriteArchiveDirectory(const Archive& archive, store::Store& store,
                           int dir_fd);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_EXPORT_ARCHIVE_H_
