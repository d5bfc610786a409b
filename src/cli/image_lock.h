// --locked of the commands that take an image by name: the lock says what the
// name stands for.
#ifndef IMGBUILD_CLI_IMAGE_LOCK_H_
#define IMGBUILD_CLI_IMAGE_LOCK_H_

#include <string>

#include "imgbuild/oci/platform.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/transfer/transfer.h"

#include "cli/app.h"
#include "cli/args.h"

namespace imgbuild::cli {

class ImageLock {
 public:
  // Targets of the flags: this object must outlive Parse().
  void AddTo(Args& args);
  // --locked is given. Throws Error(kUsage) for --lockfile without it.
  bool given() const;

  // The image that the lock has for `reference`, with its manifest and config
  // in the store, and the layers as they are. The tag is never asked for.
  // Throws Error(kPolicy) with the command that mends it for a name or a
  // platform that the lock has not and for a digest of its own that is another
  // one; Error(kDockerfile) at the line of a lock that is broken.
  plan::ResolvedImage Resolve(App& app, const oci::Reference& reference,
                              const oci::Platform& platform,
                              transfer::PullPolicy policy) const;

 private:
  bool locked_ = false;
  std::string lockfile_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_LOCK_H_
