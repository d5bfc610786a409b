// Empty mount points outside the image. A runtime that finds a mount's target
// missing would create it in the upper directory, and from there it would get
// into the layer. So every overlay has a stub layer at the bottom with the
// usual targets, and, when some target is still missing, one at the top.
#ifndef IMGBUILD_SRC_EXEC_STUB_LAYER_H_
#define IMGBUILD_SRC_EXEC_STUB_LAYER_H_

#include <string>
#include <vector>

#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

struct MountTarget {
  std::string path;  // clean, relative to the root
  bool is_file = false;
};

// /proc, /sys, /dev, /etc/hosts, /etc/resolv.conf, /etc/hostname.
const std::vector<MountTarget>& UsualTargets();

// Creates the bottom stub layer in `state_dir` unless it is there; its path.
// Safe against other processes doing the same.
std::string EnsureBottomStub(const std::string& state_dir);

// Those of `targets` that the root file system does not have. Throws
// Error(kStep) when one is there as the other type (a directory for a file).
std::vector<MountTarget> MissingTargets(
    int root_fd, const std::vector<MountTarget>& targets);

// Fills the empty directory `stub_fd` with `targets`. Directories on the way
// that the root file system has are made alike (mode, owner, times, extended
// attributes), because the topmost layer's are the ones that are seen.
void MakeTopStub(int stub_fd, int root_fd,
                 const std::vector<MountTarget>& targets);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_STUB_LAYER_H_
