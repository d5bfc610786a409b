// Moves images between registries and the store: resolve, fetch, verify and
// unpack in one pipeline, all layers at once. Used by build (FROM), pull, run
// and lock alike. Sits above store and registry, which know nothing of each
// other.
#ifndef IMGBUILD_TRANSFER_TRANSFER_H_
#define IMGBUILD_TRANSFER_TRANSFER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/registry/client.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::transfer {

enum class PullPolicy {
  kMissing,  // the store first, the registry when it has nothing
  kAlways,   // ask the registry what the name stands for now
  kNever,    // the store only
};

// A layer of an image: what it is and how its blob is called.
struct LayerName {
  oci::DiffId diff_id;
  oci::Descriptor blob;
  auto operator<=>(const LayerName&) const = default;
};
std::vector<LayerName> LayersOf(const plan::ResolvedImage& image);

enum class LayerState {
  kExists,
  kFetching,
  kFetched,
  kUnpacking,
  kDone,
};

struct TransferOptions {
  unsigned parallel_layers = 4;
  // Called from several threads, one call at a time.
  std::function<void(const oci::Descriptor& layer, LayerState state,
                     uint64_t done)>
      on_layer;
  std::function<void(const std::string&)> warn;
};

struct PullResult {
  plan::ResolvedImage image;
  // Nothing was fetched and no name moved.
  bool up_to_date = false;
};

// All arguments must outlive it. Thread-safe; two threads that want the same
// layer wait for one.
class Transfer {
 public:
  Transfer(store::Store& store, registry::Client& client,
           TransferOptions options, const CancelToken& cancel);
  ~Transfer();

  // Name -> pinned image. The manifest (index too) and the config are in the
  // store afterwards; layers are not touched. A name with a digest that the
  // store knows costs no request. Throws Error(kRegistry); with kNever
  // Error(kUsage) when the store has nothing.
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform, PullPolicy policy);

  // Postcondition: the compressed blob of each layer is in the store.
  void EnsureBlobs(const std::vector<LayerName>& layers);
  // Postcondition: each layer is unpacked. Blobs that are missing are fetched
  // from where they were seen, kept, and unpacked while they come in.
  void EnsureUnpacked(const std::vector<LayerName>& layers);

  // Resolve, fetch, unpack, record, name.
  PullResult Pull(const oci::Reference& reference,
                  const oci::Platform& platform, PullPolicy policy);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Makes the store's record of an image whose blobs are there.
store::ImageRecord RecordImage(store::Store& store,
                               const plan::ResolvedImage& image);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_TRANSFER_H_
