// Where the lock meets a build: the resolver that answers names out of the
// lock, and the lock that is made of what a registry answers.
#ifndef IMGBUILD_BUILD_LOCKING_H_
#define IMGBUILD_BUILD_LOCKING_H_

#include <set>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/lockfile.h"
#include "imgbuild/plan/external_names.h"
#include "imgbuild/plan/planner.h"
#include "imgbuild/plan/resolver.h"

namespace imgbuild::build {

lock::UsedName ToUsedName(const plan::ExternalName& name,
                          const std::string& variant);

enum class LockMode {
  kPrefer,  // what the lock does not have is resolved, with a warning
  kLocked,  // it is an error
  kFrozen,  // and nothing is fetched
};

// Answers out of the lock: key -> pin -> name@digest, which `next` resolves,
// and what comes back must be the pinned manifest and config. A pin that
// cannot be had is an error, never the tag. Used from one thread. All
// arguments must outlive it.
class LockedResolver : public plan::ImageResolver {
 public:
  // `flags`: those of `imgbuild lock` that name this Dockerfile, with a blank
  // in front: " -f app.Dockerfile", or "".
  LockedResolver(const lock::Lockfile& lock, LockMode mode, std::string flags,
                 plan::ImageResolver& next)
      : lock_(lock), mode_(mode), flags_(std::move(flags)), next_(next) {}

  // Throws Error(kPolicy) without a place for a name or a platform that is not
  // locked and for a digest that differs from the Dockerfile's own; at the
  // lock's line when the pin itself is wrong or gone.
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform) override;
  // A layout is on this machine: it needs no pin.
  plan::ResolvedImage ResolveLayout(const std::string& layout,
                                    const oci::Platform& platform) override {
    return next_.ResolveLayout(layout, platform);
  }
  void Prefetch(const oci::Reference& reference,
                const oci::Platform& platform) override;
  std::string PinOf(const plan::ExternalName& name) override;

  // kPrefer: what was resolved without the lock, one line each, once.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  const lock::ImagePin* Find(const oci::Reference& reference) const;
  // REQUIRES: a digest.
  plan::ResolvedImage Pinned(const oci::Reference& reference,
                             const oci::Platform& platform,
                             const lock::ImagePin* pin);
  void CheckOwnDigest(const oci::Reference& reference,
                      const lock::ImagePin& pin) const;
  void CheckAnswer(const plan::ResolvedImage& image, const lock::ImagePin& pin,
                   const oci::Platform& platform,
                   const lock::PlatformPin& own) const;
  // kPrefer: a warning; else throws.
  void Missing(const std::string& what, const std::string& name);

  const lock::Lockfile& lock_;
  const LockMode mode_;
  const std::string flags_;
  plan::ImageResolver& next_;
  std::vector<std::string> warnings_;
  std::set<std::string> warned_;
};

// What --locked refuses about one word.
struct LockRefusal {
  SourceRange range;
  std::string message;
  std::string hint;
};

// Everything that a build under `lock` (kLocked or kFrozen) is refused for, in
// the order of evaluation, each word once; empty when it cannot be told.
// Arguments as for LockedResolver; nothing else than what it asks is asked.
std::vector<LockRefusal> LockRefusals(const dockerfile::Dockerfile& file,
                                      const plan::PlanOptions& options,
                                      LockedResolver& resolver);

// How many of the distinct names that a build needs (no frontends) are pinned,
// by the lock or by a digest of their own.
struct PinnedCount {
  size_t pinned = 0;
  size_t names = 0;
};
PinnedCount CountPinned(const std::vector<plan::ExternalName>& names,
                        const lock::Lockfile& lock);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_LOCKING_H_
