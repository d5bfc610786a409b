// A part of a tree as an ordinary tar stream: what `cp` and `export` give away.
// It is no layer: entries come in the order of a walk, times are whole seconds
// but not clamped.
#ifndef IMGBUILD_LAYER_TREE_TAR_H_
#define IMGBUILD_LAYER_TREE_TAR_H_

#include <cstdint>
#include <string>

#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {

// Writes `path` (clean, not following a link) and all that is below it; the
// archive calls it `name`, "." for "./…". With an empty name `path` itself has
// no entry. Sockets are left out, and so is what vanishes between the listing
// and the look at it; of extended attributes those go along that a layer may
// have. Returns the number of bytes. Throws Error(kHost): `path` is not there;
// a file became shorter while it was read.
uint64_t WriteTreeTar(const FileTree& tree, const std::string& path,
                      const std::string& name, Writer& out,
                      const CancelToken& cancel = {});

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_TREE_TAR_H_
