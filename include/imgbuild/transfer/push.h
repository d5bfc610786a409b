// Sends an image of the store to a registry: the exact bytes that the store
// has, so that the digest printed at build time is the digest over there.
#ifndef IMGBUILD_TRANSFER_PUSH_H_
#define IMGBUILD_TRANSFER_PUSH_H_

#include <cstdint>
#include <functional>
#include <string>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/store/store.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::transfer {

struct PushOptions {
  unsigned parallel_layers = 4;
  // Called from several threads, one call at a time; blobs in no order.
  std::function<void(const oci::Descriptor& blob,
                     registry::PushOutcome outcome)>
      on_blob;
};

struct PushResult {
  oci::Digest digest;
  uint64_t size = 0;  // of the manifest or index
};

// Pushes the manifest or index `target` to `destination` (its tag; without one
// by digest only). Blobs first, in parallel: what is there is not sent, what
// another repository of the same host has is mounted, a blob that this store
// never fetched is fetched only when neither helps. Then the manifests, then
// the index, the name last: a push that breaks moves no tag. Throws
// Error(kRegistry), Error(kHost) when the store lacks a manifest.
PushResult Push(store::Store& store, registry::Client& client,
                Transfer& transfer, const oci::Digest& target,
                const oci::Reference& destination, const PushOptions& options,
                const CancelToken& cancel);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_PUSH_H_
