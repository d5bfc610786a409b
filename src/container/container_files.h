// A container's file system, opened from the outside.
#ifndef IMGBUILD_SRC_CONTAINER_CONTAINER_FILES_H_
#define IMGBUILD_SRC_CONTAINER_CONTAINER_FILES_H_

#include <memory>

#include "imgbuild/container/run.h"
#include "imgbuild/exec/root_mount.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::container {

class ContainerFiles {
 public:
  // A running one's root with all its mounts; a stopped one's with its volumes,
  // and nobody starts it while this lives. See exec::MountPrivateRoot() for
  // what volumes do to this thread. Throws Error.
  static ContainerFiles Open(const Engine& engine, const Container& container);
  // Its layers and what it has written, read-only, without volumes; it may run.
  static ContainerFiles OpenWritten(const Engine& engine,
                                    const Container& container);

  // O_PATH.
  int root_fd() const { return root_ ? root_->fd() : running_root_.get(); }

 private:
  ContainerFiles() = default;

  std::unique_ptr<store::ContainerLock> lock_;
  std::unique_ptr<store::Active> active_;
  std::unique_ptr<exec::PrivateRoot> root_;
  UniqueFd running_root_;
};

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_CONTAINER_FILES_H_
