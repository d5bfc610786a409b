// One layer on its way into the store.
#ifndef IMGBUILD_TRANSFER_LAYER_FETCH_H_
#define IMGBUILD_TRANSFER_LAYER_FETCH_H_

#include "imgbuild/transfer/transfer.h"

#include "transfer/window_budget.h"

namespace imgbuild::transfer {

// What fetching and unpacking need; all of it outlives the calls.
struct FetchContext {
  store::Store& store;
  registry::Client& client;
  const TransferOptions& options;
  const CancelToken& cancel;
  WindowBudget& windows;
};

// Postcondition: the blob is in the store. `also`, if set, gets the bytes as
// they come in; it is told when they start over.
class StreamTap {
 public:
  virtual ~StreamTap() = default;
  virtual void Write(Bytes bytes) = 0;
  // The stream is of no use any more: bytes were skipped or start again.
  virtual void Abandon() = 0;
};
void FetchBlob(const FetchContext& context, const oci::Descriptor& blob,
               StreamTap* also);

// Postcondition: the layer is unpacked and its blob is in the store.
void FetchAndUnpack(const FetchContext& context, const LayerName& layer);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_LAYER_FETCH_H_
