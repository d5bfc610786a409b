// A stack of layers mounted for this program itself, without running anything
// in it: `cp` and `export` read and write through it, `mount` shows it.
#ifndef IMGBUILD_EXEC_ROOT_MOUNT_H_
#define IMGBUILD_EXEC_ROOT_MOUNT_H_

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/store/snapshotter.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::exec {

// Seen by nobody else, and gone with this object however the process ends.
class PrivateRoot {
 public:
  virtual ~PrivateRoot() = default;
  // O_PATH, the root directory.
  virtual int fd() const = 0;
};
// With `binds` (of type kBind) mounted in it, in order; a mount point that is
// not there is made in the upper directory. With binds the calling thread, and
// what it starts from then on, has a mount namespace of its own afterwards:
// for programs that do one thing and end. `state_dir` as in ExecutorOptions.
// Throws Error(kHost).
std::unique_ptr<PrivateRoot> MountPrivateRoot(const store::OverlayMount& mount,
                                              const std::vector<Mount>& binds,
                                              bool read_only,
                                              const std::string& state_dir);

// Mounts the stack where `path` (an existing directory) is, for everybody in
// this mount namespace, read-only: also what would be the upper directory is
// only read. Stays until UnmountRoot() or the end of the namespace.
void MountReadOnly(const store::OverlayMount& mount, const std::string& path,
                   const std::string& state_dir);
// False: nothing is mounted there (any longer). Who still has files open keeps
// them, unless !force: then that is an Error(kFailed).
bool UnmountRoot(const std::string& path, bool force);
// In this mount namespace.
bool IsMountPoint(const std::string& path);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_EXEC_ROOT_MOUNT_H_
