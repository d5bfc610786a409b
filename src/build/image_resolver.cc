#include "imgbuild/build/image_resolver.h"

#include "imgbuild/transfer/oci_layout.h"
#include "imgbuild/util/error.h"

namespace imgbuild::build {

void TransferResolver::Prefetch(const oci::Reference& reference,
                                const oci::Platform& platform) {
  const Key key{reference.ToString(), platform.ToString()};
  if (asked_.contains(key)) return;
  const VertexId row = progress_.AddVertex("[internal] load metadata for " +
                                           reference.ToString());
  asked_.emplace(
      key, std::async(std::launch::async, [this, reference, platform, row] {
             progress_.Started(row);
             try {
               plan::ResolvedImage image =
                   transfer_.Resolve(reference, platform, policy_);
               progress_.Finished(row, VertexOutcome::kDone, "");
               return image;
             } catch (const Error& error) {
               progress_.Finished(row, VertexOutcome::kError, error.message());
               throw;
             }
           }).share());
}

plan::ResolvedImage TransferResolver::Resolve(const oci::Reference& reference,
                                              const oci::Platform& platform) {
  Prefetch(reference, platform);
  return asked_.at({reference.ToString(), platform.ToString()}).get();
}

plan::ResolvedImage TransferResolver::ResolveLayout(
    const std::string& layout, const oci::Platform& platform) {
  const VertexId row =
      progress_.AddVertex("[internal] load image from oci-layout://" + layout);
  progress_.Started(row);
  try {
    plan::ResolvedImage image = transfer::ImportLayout(
        store_, transfer::ParseLayoutName(layout), platform, cancel_);
    progress_.Finished(row, VertexOutcome::kDone, "");
    return image;
  } catch (const Error& error) {
    progress_.Finished(row, VertexOutcome::kError, error.message());
    throw;
  }
}

}  // namespace imgbuild::build
