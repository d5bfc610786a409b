// The resolver of commands that may need no image at all.
#ifndef IMGBUILD_CLI_LAZY_RESOLVER_H_
#define IMGBUILD_CLI_LAZY_RESOLVER_H_

#include <memory>

#include "imgbuild/build/image_resolver.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/util/progress.h"

#include "cli/app.h"

namespace imgbuild::cli {

// Opens the store when the first image is asked for: a Dockerfile FROM scratch
// needs none.
class LazyResolver : public plan::ImageResolver {
 public:
  LazyResolver(App& app, transfer::PullPolicy policy)
      : app_(app), policy_(policy) {}
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform) override {
    return Real().Resolve(reference, platform);
  }
  plan::ResolvedImage ResolveLayout(const std::string& layout,
                                    const oci::Platform& platform) override {
    return Real().ResolveLayout(layout, platform);
  }
  void Prefetch(const oci::Reference& reference,
                const oci::Platform& platform) override {
    Real().Prefetch(reference, platform);
  }

 private:
  plan::ImageResolver& Real() {
    if (!real_) {
      real_ = std::make_unique<build::TransferResolver>(
          app_.store(), app_.transfer(), progress_, policy_, app_.cancel);
    }
    return *real_;
  }
  App& app_;
  const transfer::PullPolicy policy_;
  NullProgress progress_;
  std::unique_ptr<plan::ImageResolver> real_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_LAZY_RESOLVER_H_
