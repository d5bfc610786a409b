// The root file system of one run: the overlay with every mount point present,
// and where the files of ours go in it.
#ifndef IMGBUILD_SRC_EXEC_CONTAINER_ROOT_H_
#define IMGBUILD_SRC_EXEC_CONTAINER_ROOT_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/unique_fd.h"

#include "exec/stub_layer.h"

namespace imgbuild::exec {

struct ContainerRoot {
  UniqueFd fd;  // the detached mount
  // Where /etc/hosts, /etc/resolv.conf and /etc/hostname lead, relative to the
  // root; nullopt when they cannot be mounted over (a link into /dev, a
  // directory): the image's own business then.
  std::optional<std::string> hosts;
  std::optional<std::string> resolv_conf;
  std::optional<std::string> hostname;
  // Holds mount points while the mount lives; removed with this object.
  std::optional<fs::TempDir> top_stub;
};

// A detached bind mount of `mount.source`, private and (when asked) read-only
// all the way down; or, for a file that has no place in a file system (a
// memfd), its content.
struct BindSource {
  UniqueFd fd;
  bool is_directory = true;
  std::optional<std::string> content;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};
BindSource OpenBindSource(const Mount& mount);

// `binds` are the opened sources of spec.mounts, in order (unused entries for
// tmpfs). `state_dir` is where a stub layer may be made.
ContainerRoot MountContainerRoot(const ProcessSpec& spec,
                                 const std::vector<BindSource>& binds,
                                 const std::string& bottom_stub,
                                 const std::string& state_dir);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_CONTAINER_ROOT_H_
