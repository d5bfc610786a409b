// From the layers of a build to an image in the store.
#ifndef IMGBUILD_BUILD_ASSEMBLE_H_
#define IMGBUILD_BUILD_ASSEMBLE_H_

#include <map>
#include <string>
#include <vector>

#include "build/step.h"

namespace imgbuild::build {

// Config and manifest, final to the last byte. Pure.
BuildResult Assemble(
    const plan::BuildGraph& graph, const std::vector<VertexResult>& results,
    const std::map<std::string, std::string>& annotations = {});

// Stores both and records the image. Sets result.unchanged.
// REQUIRES: the blobs of all layers are in the store.
void Record(store::Store& store, BuildResult& result);
// REQUIRES: it was recorded.
void MoveTags(store::Store& store, const BuildResult& result,
              const std::vector<oci::Reference>& tags);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_ASSEMBLE_H_
