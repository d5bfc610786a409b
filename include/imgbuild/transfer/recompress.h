// Another compression for a finished image. The tars, the DiffIds and the
// config stay; the blobs and so the manifest's digest are new.
#ifndef IMGBUILD_TRANSFER_RECOMPRESS_H_
#define IMGBUILD_TRANSFER_RECOMPRESS_H_

#include <optional>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/place.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::transfer {

struct WantedCompression {
  oci::Compression compression = oci::Compression::kGzip;
  // Given: every layer is compressed again. Not given: those that have the
  // compression already stay as they are.
  std::optional<int> level;
};

// The manifest or index of `source` with its layers in the wanted compression,
// put into the store with the blobs that are new. Each layer is checked
// against its DiffId on the way. Docker's manifests become OCI's when they have
// no name for the compression (zstd). Foreign layers stay. The same image and
// wish give the same digest. REQUIRES: the caller holds a lease of the store.
oci::Document Recompress(ImageSource& source, store::Store& store,
                         const oci::Document& document,
                         const WantedCompression& wanted, ThreadPool& pool,
                         const CancelToken& cancel);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_RECOMPRESS_H_
