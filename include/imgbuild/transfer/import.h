// A tar of a root file system becomes an image of one layer: `import`.
#ifndef IMGBUILD_TRANSFER_IMPORT_H_
#define IMGBUILD_TRANSFER_IMPORT_H_

#include <string>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/io.h"

namespace imgbuild::transfer {

// Reads the archive (plain or compressed with gzip, zstd, bzip2 or xz), keeps
// it uncompressed as the layer's blob, unpacks it, and records the image that
// `config` describes; its diff_ids are set here, its history is the caller's.
// The same archive and config are the same image. Throws Error(kRegistry) for
// what is no tar.
plan::ResolvedImage ImportRoot(store::Store& store, Transfer& transfer,
                               Reader& input, oci::ImageConfig config);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_IMPORT_H_
