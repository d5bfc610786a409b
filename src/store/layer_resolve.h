// A layer on a certain stack of layers. Most layers look the same on any. Two
// kinds do not, because their tar leaves things to the layers below:
//
//   implied directories   "a/b" came without "a": a's mode, owner, times and
//                         attributes are those of the layers below. The first
//                         stack gets them written into fs/ itself (no View
//                         reads them there), an equal stack finds them right;
//   lower links           a hard link to a file of a layer below.
//
// For any other stack, and for each stack where there are links, a directory
// layers/DIFFID/c-CHAIN is made: hard links to the files of fs/, directories
// with the right metadata, and the links on files that are copied up.
#ifndef IMGBUILD_SRC_STORE_LAYER_RESOLVE_H_
#define IMGBUILD_SRC_STORE_LAYER_RESOLVE_H_

#include <optional>
#include <string>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/file_tree.h"

#include "store/layer_dir.h"
#include "store/layout.h"
#include "store/unsynced.h"

namespace imgbuild::store {

struct ResolveContext {
  Layout& layout;
  Unsynced& unsynced;
  std::string opaque_xattr;
};

// True when the layer looks the same on any stack.
bool IsSelfContained(const LayerMeta& meta);

// The directory to stack, relative to layers/. `below` is the merged tree of
// the layers under it, `merged` the same with this layer, `chain` the ChainId
// of those under it (nullopt: none). The caller holds the layer's lock.
std::string ResolveLayer(ResolveContext& context, const oci::DiffId& diff_id,
                         const LayerMeta& meta, const FileTree& below,
                         const FileTree& merged,
                         const std::optional<oci::ChainId>& chain);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LAYER_RESOLVE_H_
