// The layer of a COPY: its blob, and where a later step reads them its files.
#ifndef IMGBUILD_BUILD_COPY_LAYER_H_
#define IMGBUILD_BUILD_COPY_LAYER_H_

#include <optional>

#include "build/copy_tree.h"
#include "build/step.h"

namespace imgbuild::build {

// nullopt for an empty tree. What the step made the last time is used where it
// is the same; the layer is byte for byte the one that is made without it.
std::optional<store::StoredLayer> WriteCopyLayer(Step& step,
                                                 const CopyTree& tree);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_COPY_LAYER_H_
