// What planning must know about the world, asked through interfaces that plan
// owns and higher modules implement: names become digests and configs.
#ifndef IMGBUILD_PLAN_RESOLVER_H_
#define IMGBUILD_PLAN_RESOLVER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"

namespace imgbuild::plan {

struct ExternalName;

// A base image, pinned: everything a plan needs of it.
struct ResolvedImage {
  oci::Reference name;   // as evaluated from the Dockerfile
  oci::Digest target;    // what the name stands for: an index or a manifest
  oci::Digest manifest;  // the platform's manifest
  oci::Digest config_digest;
  oci::ImageConfig config;
  std::vector<oci::Descriptor> layers;  // same order as config.diff_ids
  uint64_t manifest_size = 0;           // bytes
};

class ImageResolver {
 public:
  virtual ~ImageResolver() = default;
  // The same arguments give the same answer during one plan. Throws Error
  // (kRegistry, kPolicy); the planner attaches the place.
  virtual ResolvedImage Resolve(const oci::Reference& reference,
                                const oci::Platform& platform) = 0;
  // The image of an OCI layout directory, "PATH[:TAG|@DIGEST]"; its `name` says
  // nothing. Throws Error(kUsage) when there is none, or where layouts are not
  // looked at.
  virtual ResolvedImage ResolveLayout(const std::string& layout,
                                      const oci::Platform& platform);
  // Told early about names that will be asked for, to overlap the requests.
  virtual void Prefetch(const oci::Reference&, const oci::Platform&) {}
  // ADD of a URL or a repository: the digest ("sha256:…") or the full commit
  // that it is pinned to, "" when it is not. Throws as Resolve() does.
  virtual std::string PinOf(const ExternalName&) { return ""; }
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_RESOLVER_H_
