// The files of an OCI layout, in a directory or in an archive.
#ifndef IMGBUILD_SRC_TRANSFER_LAYOUT_FILES_H_
#define IMGBUILD_SRC_TRANSFER_LAYOUT_FILES_H_

#include <string>

#include "imgbuild/oci/manifest.h"

namespace imgbuild::transfer {

inline constexpr char kLayoutFile[] = "oci-layout";
inline constexpr char kLayoutText[] = R"({"imageLayoutVersion":"1.0.0"})";
inline constexpr char kIndexFile[] = "index.json";
// The annotation of an entry of index.json that is its tag.
inline constexpr char kRefName[] = "org.opencontainers.image.ref.name";
// containerd's and Docker's: the whole name.
inline constexpr char kImageName[] = "io.containerd.image.name";

// "blobs/sha256/…"
std::string BlobFile(const oci::Digest& digest);
// The entry of index.json for an image, with a tag unless it is empty.
oci::Descriptor LayoutEntry(const oci::Document& root, const std::string& tag);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_SRC_TRANSFER_LAYOUT_FILES_H_
