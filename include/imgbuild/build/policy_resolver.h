// A source policy in front of a resolver: what the Dockerfile names is allowed,
// denied or converted before anybody is asked for it.
#ifndef IMGBUILD_BUILD_POLICY_RESOLVER_H_
#define IMGBUILD_BUILD_POLICY_RESOLVER_H_

#include <string>
#include <vector>

#include "imgbuild/lock/source_policy.h"
#include "imgbuild/plan/build_graph.h"
#include "imgbuild/plan/resolver.h"

namespace imgbuild::build {

// Both arguments must outlive it. Used from one thread.
class PolicyResolver : public plan::ImageResolver {
 public:
  PolicyResolver(const lock::SourcePolicy& policy, plan::ImageResolver& next)
      : policy_(policy), next_(next) {}

  // Throws Error(kPolicy) without a place; the planner adds it.
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform) override;
  plan::ResolvedImage ResolveLayout(const std::string& layout,
                                    const oci::Platform& platform) override;
  void Prefetch(const oci::Reference& reference,
                const oci::Platform& platform) override;
  std::string PinOf(const plan::ExternalName& name) override {
    return next_.PinOf(name);
  }

 private:
  oci::Reference Convert(const oci::Reference& reference) const;

  const lock::SourcePolicy& policy_;
  plan::ImageResolver& next_;
};

// The URLs and repositories of ADD: allowed, denied, given a checksum or a
// commit. Throws Error(kPolicy) at their words, also for what a policy of
// BuildKit may ask for and this build cannot do (another host for a repository,
// another file name for a URL).
void ApplyToRemotes(const lock::SourcePolicy& policy, plan::BuildGraph& graph);

// local://dockerfile and local://NAME for each context that is read, the main
// one ("") as local://context. Throws Error(kPolicy) when one is denied, and
// when one is converted: there is nothing else it could become.
void CheckLocalSources(const lock::SourcePolicy& policy,
                       const std::vector<std::string>& contexts);

// A context that is fetched: its URL, as typed. Throws Error(kPolicy) when it
// is denied, converted, or asked for what is not checked of a context.
void CheckRemoteContext(const lock::SourcePolicy& policy,
                        const std::string& url);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_POLICY_RESOLVER_H_
