// The planner's view of registries and the store.
#ifndef IMGBUILD_BUILD_IMAGE_RESOLVER_H_
#define IMGBUILD_BUILD_IMAGE_RESOLVER_H_

#include <future>
#include <map>
#include <string>
#include <utility>

#include "imgbuild/plan/resolver.h"
#include "imgbuild/transfer/transfer.h"
#include "imgbuild/util/progress.h"

namespace imgbuild::build {

// Asks for each (name, platform) once; names told by Prefetch are asked for in
// the background, all at once. Used from one thread.
class TransferResolver : public plan::ImageResolver {
 public:
  TransferResolver(store::Store& store, transfer::Transfer& transfer,
                   ProgressSink& progress, transfer::PullPolicy policy,
                   const CancelToken& cancel)
      : store_(store),
        transfer_(transfer),
        progress_(progress),
        policy_(policy),
        cancel_(cancel) {}
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform) override;
  // Copies the image into the store.
  plan::ResolvedImage ResolveLayout(const std::string& layout,
                                    const oci::Platform& platform) override;
  void Prefetch(const oci::Reference& reference,
                const oci::Platform& platform) override;

 private:
  using Key = std::pair<std::string, std::string>;
  store::Store& store_;
  transfer::Transfer& transfer_;
  ProgressSink& progress_;
  const transfer::PullPolicy policy_;
  const CancelToken cancel_;
  std::map<Key, std::shared_future<plan::ResolvedImage>> asked_;
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_IMAGE_RESOLVER_H_
