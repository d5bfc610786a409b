// An overlay as a detached mount: made without touching any mount namespace,
// gone with its descriptor. Run moves it into the runtime's namespace, so
// nothing can be left mounted, whatever dies.
#ifndef IMGBUILD_SRC_EXEC_OVERLAY_H_
#define IMGBUILD_SRC_EXEC_OVERLAY_H_

#include <string>

#include "imgbuild/store/snapshotter.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// How the kernel is asked. kNewApi needs Linux 6.8 (`lowerdir+`); kMount works
// on every kernel, with short relative names so that many layers fit the one
// page of options.
enum class OverlayApi { kAuto, kNewApi, kMount };

// Mounts `mount` and returns the root of the detached mount. `scratch_dir` is
// an existing directory of the caller's: kMount needs a place for its names.
// kAuto takes the new API and falls back when the kernel does not know
// `lowerdir+`. Throws Error(kHost).
UniqueFd MountOverlay(const store::OverlayMount& mount,
                      const std::string& scratch_dir,
                      OverlayApi api = OverlayApi::kAuto);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_OVERLAY_H_
