// Makes the upper directory of a step what its layer says.
#ifndef IMGBUILD_SRC_STORE_UPPER_NORMALIZER_H_
#define IMGBUILD_SRC_STORE_UPPER_NORMALIZER_H_

#include <cstdint>
#include <string>

#include "imgbuild/util/file_tree.h"

namespace imgbuild::store {

// A step's upper directory becomes the layer's directory by rename, and may be
// dropped and unpacked again from the layer's blob later. Both must be the
// same tree, or later steps would see different files depending on what the
// store happened to hold: what EmitUpper() leaves out of the layer is removed
// here, and times become those of the layer (whole seconds, not after epoch).
void NormalizeUpper(int upper_fd, const FileTree& lower,
                    const std::string& opaque_xattr, int64_t epoch);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_UPPER_NORMALIZER_H_
