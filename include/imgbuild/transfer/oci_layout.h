// An image that lies in an OCI layout directory on this machine: what
// `--build-context NAME=oci-layout://…` stands for.
#ifndef IMGBUILD_TRANSFER_OCI_LAYOUT_H_
#define IMGBUILD_TRANSFER_OCI_LAYOUT_H_

#include <optional>
#include <string>
#include <string_view>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/platform.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/cancel.h"

namespace imgbuild::transfer {

// An image of a layout: by digest, else by tag ("latest" when none is given),
// else the only one there is when no tag was given.
// "PATH", "PATH:TAG" or "PATH@DIGEST".
struct LayoutName {
  std::string path;
  std::optional<std::string> tag;
  std::optional<oci::Digest> digest;
};
// Throws Error(kUsage) for a malformed tag or digest.
LayoutName ParseLayoutName(std::string_view text);

// The platform's image of a layout. Its manifest, config and layers are in the
// store afterwards, each checked against its digest; what the store has is not
// read again. The same caps as for a registry's. Throws Error(kUsage): no
// layout, no such image; Error(kRegistry): damaged contents.
plan::ResolvedImage ImportLayout(store::Store& store, const LayoutName& name,
                                 const oci::Platform& platform,
                                 const CancelToken& cancel);

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_OCI_LAYOUT_H_
