// How an unpacked layer lies on disk:
//
//   layers/DIFFID/fs/       the files, in overlay form
//   layers/DIFFID/meta      LayerMeta as JSON
//                           (with a base: only what differs from that layer)
//   layers/DIFFID/c-CHAIN/  the same layer as it must look on the layers whose
//                           ChainId begins with CHAIN (see layer_resolve.h)
//
// A layer appears by one rename of the whole directory and goes by another.
// fs/ never changes afterwards, but for the metadata of implied directories.
#ifndef IMGBUILD_SRC_STORE_LAYER_DIR_H_
#define IMGBUILD_SRC_STORE_LAYER_DIR_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/fs.h"

#include "store/layout.h"
#include "store/unsynced.h"

namespace imgbuild::store {

inline constexpr char kFilesName[] = "fs";
inline constexpr char kMetaName[] = "meta";

// Version 1:
//   {"version":1,"opaque":XATTR,"implied":[PATH…],"links":[[PATH,TARGET]…],
//    "chain":CHAINID or "","opaque_root":BOOL}
// Version 2 has "base":DIFFID too.
// Paths that are not UTF-8 are escaped, see layer_dir.cc.
struct LayerMeta {
  // The attribute that marks opaque directories in fs/.
  std::string opaque_xattr;
  // Directories whose metadata comes from the layers below. Sorted. "" is the
  // root.
  std::vector<std::string> implied;
  // Sorted by path.
  std::vector<layer::ExtractResult::LowerLink> links;
  // The chain below for which the implied directories in fs/ carry their
  // metadata now; empty: for none. What they carry is never read through a
  // View.
  std::string chain;
  // Nothing of the layers below shows.
  bool opaque_root = false;
  // The layer whose directory lies under fs/ to make up this one. fs/ holds no
  // whiteouts then: what is in the base and not in fs/ is in this layer. A
  // base has no base itself.
  std::optional<oci::DiffId> base;
};

std::string EncodeMeta(const LayerMeta& meta);
// Throws Error(kHost).
LayerMeta DecodeMeta(std::string_view bytes, const std::string& name);

// nullopt when the layer is not there, or is there with whiteouts in another
// form than `opaque_xattr` (made inside a user namespace, or outside), or when
// its base is not there (any more).
std::optional<LayerMeta> ReadMeta(const Layout& layout,
                                  const oci::DiffId& diff_id,
                                  const std::string& opaque_xattr);

// Moves `dir` (a directory of own_tmp() with fs/ in it) to its place.
// Postcondition: the layer is there, by us or by somebody else.
void PublishLayer(Layout& layout, Unsynced& unsynced, fs::TempDir dir,
                  const oci::DiffId& diff_id, const LayerMeta& meta);

// Takes the layer out of sight, then removes it. The caller holds its lock.
// Returns the bytes that are free now.
uint64_t DiscardLayer(Layout& layout, const oci::DiffId& diff_id);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LAYER_DIR_H_
