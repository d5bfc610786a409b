// Writes a result somewhere: --output.
#ifndef IMGBUILD_BUILD_EXPORTER_H_
#define IMGBUILD_BUILD_EXPORTER_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/build/builder.h"
#include "imgbuild/transfer/recompress.h"

namespace imgbuild::build {

// type=oci,dest=FILE[,compression=gzip|zstd|uncompressed[,compression-level=N],
// force-compression=true] | type=docker,dest=FILE | type=tar,dest=FILE |
// type=local,dest=DIR | type=image[,name=REF,…] | DIR | - (tar on stdout)
struct OutputSpec {
  enum class Type { kImage, kOci, kDocker, kTar, kLocal };
  Type type = Type::kImage;
  std::string dest;                // "-" is standard output
  bool as_tar = true;              // type=oci,tar=false: a directory
  std::vector<std::string> names;  // type=image,name=…
  // type=oci and type=docker: all layers anew, the base's too. The digest of
  // what is written is another one then.
  std::optional<transfer::WantedCompression> compression;
};
// Throws Error(kUsage) naming the unknown type or key, and the nearest known.
OutputSpec ParseOutput(std::string_view text);

// REQUIRES: result.manifest, its config and its layers are in the store.
void Export(BuildEnvironment& environment, const BuildResult& result,
            const OutputSpec& output, const std::vector<oci::Reference>& tags);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_EXPORTER_H_
