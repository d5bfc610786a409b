// A set of blobs as an OCI layout, in a directory or a tar, and back: what
// `lock bundle` writes and `build --lock-bundle` reads.
#ifndef IMGBUILD_TRANSFER_BUNDLE_H_
#define IMGBUILD_TRANSFER_BUNDLE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/archive.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"

namespace imgbuild::transfer {

// `named` are the entries of index.json, in that order, by the name in their
// org.opencontainers.image.ref.name; `blobs` is everything else. The same
// input is the same archive.
Archive BundleArchive(const std::vector<oci::Descriptor>& named,
                      const std::vector<oci::Descriptor>& blobs);
// The descriptor of an entry of index.json that is called `name`.
oci::Descriptor NamedBlob(std::string_view media_type, const oci::Digest& blob,
                          uint64_t size, const std::string& name);

// Puts those blobs (digest and size) that the layout at `path` has into the
// store, and nothing else; how many they were. A tar (uncompressed) is read
// once from its beginning to its end. Nothing is trusted: names only choose
// among `wanted`, and bytes are checked against digest and size. Throws
// Error(kRegistry) for damaged contents, Error(kUsage) when there is no file.
size_t ImportBlobs(store::Store& store, const std::string& path,
                   const std::map<oci::Digest, uint64_t>& wanted,
                   const CancelToken& cancel);

// The same of a tar that is read from somewhere. The first file of a name
// counts.
size_t ImportTarBlobs(store::ContentStore& content, Reader& tar,
                      const std::map<oci::Digest, uint64_t>& wanted,
                      const CancelToken& cancel);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_BUNDLE_H_
