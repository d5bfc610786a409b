// The places of `copy` and `index create`, as words of the command line:
//   NAME, docker://NAME        a registry
//   store:NAME                 the store
//   oci:DIR[:TAG], oci:DIR@DIGEST, oci-layout://DIR…   an OCI layout
//   docker-archive:FILE[:NAME], oci-archive:FILE[:NAME], FILE@DIGEST to read
#ifndef IMGBUILD_CLI_PLACE_H_
#define IMGBUILD_CLI_PLACE_H_

#include <memory>
#include <optional>
#include <string>

#include "imgbuild/transfer/place.h"

#include "cli/app.h"

namespace imgbuild::cli {

struct Place {
  enum class Kind { kRegistry, kStore, kLayout, kDockerArchive, kOciArchive };
  Kind kind = Kind::kRegistry;
  transfer::LayoutName layout;
  std::string path;                   // of an archive
  std::optional<oci::Digest> digest;  // in an archive
  std::string name;  // a reference; may be empty for an archive
};
// Throws Error(kUsage).
Place ParsePlace(const std::string& word);

std::unique_ptr<transfer::ImageSource> OpenSource(App& app, const Place& place);
// Where `place` leaves the name out, it is the source's. REQUIRES for a store:
// the caller holds a lease.
std::unique_ptr<transfer::ImageTarget> OpenTarget(
    App& app, const Place& place, const std::optional<oci::Reference>& source,
    const oci::Platform& platform);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_PLACE_H_
