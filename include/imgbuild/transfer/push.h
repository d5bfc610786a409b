// Sends an image of the store to a registry: the exact bytes that the store
// has, so that the digest printed at build time is the digest over there.
#ifndef IMGBUILD_TRANSFER_PUSH_H_
#define IMGBUILD_TRANSFER_PUSH_H_

#include "imgbuild/oci/reference.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/copy.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::transfer {

// Copies the manifest or index `target` of the store to `destination` (its tag;
// without one by digest only). A blob that this store never fetched is fetched
// only when the registry neither has it nor can mount it. Each blob is asked
// for, so that on_blob hears of all. Throws Error(kRegistry), Error(kHost) when
// the store lacks a manifest.
CopyResult Push(store::Store& store, registry::Client& client,
                Transfer& transfer, const oci::Digest& target,
                const oci::Reference& destination, const CopyOptions& options,
                const CancelToken& cancel);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_PUSH_H_
