// The one routine that puts an archive's entries on disk: pull, load, ADD and
// cache restore all use it. fd-relative; parents resolve inside the root as
// the kernel would after chroot, the last component and link targets are kept
// verbatim. Odd archives are contained, not refused.
#ifndef IMGBUILD_LAYER_EXTRACT_H_
#define IMGBUILD_LAYER_EXTRACT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/layer/entry.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {

enum class WhiteoutForm {
  kOverlay,   // character device 0:0 and the opaque xattr: a layer on its own
  kApply,     // delete what is below: a tree that is built up in place
  kVerbatim,  // ".wh.x" is an ordinary name (ADD of a tar archive)
};

struct ExtractOptions {
  WhiteoutForm whiteouts = WhiteoutForm::kOverlay;
  // "trusted.overlay.opaque" with root, "user.overlay.opaque" inside a user
  // namespace.
  std::string opaque_xattr = "trusted.overlay.opaque";
  // Ownership and device nodes that cannot be made are an error, unless this
  // is set (single-id rootless).
  bool tolerate_ownership = false;
  // False: everything belongs to whoever extracts, as new files do.
  bool set_owner = true;
  // In place of the owner that the archive names.
  struct Owner {
    uint32_t uid = 0;
    uint32_t gid = 0;
  };
  std::optional<Owner> owner;
  // A directory never takes the place of something else, nor something else
  // that of a directory: Error(kFailed), in Docker's words.
  bool keep_kinds = false;
  TarLimits limits;
};

struct ExtractResult {
  uint64_t entries = 0;
  uint64_t bytes = 0;  // of file data
  // Whether the archive says what the root directory itself is like; if not,
  // its metadata too must come from the layers below.
  bool has_root_entry = false;
  // kOverlay: the archive hides everything below its root. Overlayfs does not
  // look at the attribute of a layer's root, so whoever stacks the directories
  // must leave out the ones below.
  bool opaque_root = false;
  // Directories that the archive only implies (made as 0755, owned by the
  // caller, times of now): on overlay their metadata must come from the layers
  // below. Sorted, without the root and without what an opaque directory hides.
  std::vector<std::string> implied_directories;
  // Hard links whose target is not in this archive: with kOverlay they point
  // into a layer below. Pairs of (new name, target), both clean, sorted by
  // name; a target is never itself such a link. Not created. With the other
  // forms a missing target is an Error.
  struct LowerLink {
    std::string path;
    std::string target;
  };
  std::vector<LowerLink> lower_links;
};

// Extracts an uncompressed tar stream below root_fd (an existing directory) and
// reads `tar` to its end. On Error the tree is half-made and the caller
// discards it.
//  - With kOverlay, root_fd is empty at the start: a whiteout speaks of the
//    layers below only, so it never removes what the same archive holds
//    (a directory of that name becomes opaque instead).
//  - The later of two entries of one name wins. A directory takes over an
//    existing directory; everything else replaces what was there.
//  - Attributes of overlayfs ("trusted.overlay.*", "user.overlay.*") are never
//    taken from an archive. Attributes that the file system does not take are
//    left out, except security.capability, which is an Error.
//  - Hard links share the metadata of their target's entry; their own headers'
//    are not looked at, nor is data that they carry.
//  - A root entry sets the root's metadata, except with kVerbatim.
ExtractResult Extract(Reader& tar, int root_fd, const ExtractOptions& options,
                      const CancelToken& cancel = {});

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_EXTRACT_H_
