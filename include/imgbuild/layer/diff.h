// From a directory in overlay form (the upper directory of a step) to the
// entries of a layer.
#ifndef IMGBUILD_LAYER_DIFF_H_
#define IMGBUILD_LAYER_DIFF_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "imgbuild/layer/entry.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {

struct DiffOptions {
  // Modification times later than this are set to it; all are whole seconds.
  int64_t epoch = 0;
  std::string opaque_xattr = "trusted.overlay.opaque";
};

// Calls `emit` for each entry in writer order. `content` is null unless the
// entry is a file, and is valid during the call only.
//  - character device 0:0 -> ".wh.NAME" (dropped when `lower` has no NAME);
//  - the opaque attribute -> ".wh..wh..opq" (dropped when lower has nothing
//    there);
//  - a directory that exists in `lower` with the same mode, owner and xattrs
//    and below which nothing is emitted is dropped: overlay made it on the way
//    to something that is gone again;
//  - anything else that is the same as in `lower` in every respect that a layer
//    can say (content, mode, owner, xattrs, clamped time) is dropped: overlay
//    copies a file up when it is merely opened for writing, touched, or
//    chowned to its owner;
//  - hard links: the first name in order is the file, later ones are links;
//  - the root itself and sockets are never emitted; of extended attributes
//    only user.*, security.capability and POSIX ACLs are (labels such as
//    security.selinux belong to the host), and overlay's own never;
//  - a name that begins with ".wh." cannot be said in a layer: Error(kHost).
//    So is an upper directory that was written with redirect_dir or metacopy;
//  - whiteouts and opaque markers carry the epoch, mode 0, owner 0.
// A step that changed nothing emits nothing.
void EmitUpper(
    int upper_fd, const FileTree& lower, const DiffOptions& options,
    const std::function<void(const Entry& entry, Reader* content)>& emit,
    const CancelToken& cancel = {});

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_DIFF_H_
