// Where secrets, scripts and sockets of one step lie: in memory, 0700, gone
// with the step.
#ifndef IMGBUILD_SRC_BUILD_MEMORY_DIR_H_
#define IMGBUILD_SRC_BUILD_MEMORY_DIR_H_

#include "imgbuild/util/fs.h"

namespace imgbuild::build {

// In /dev/shm, where there is one; else in the temporary directory.
fs::TempDir MemoryDir();

}  // namespace imgbuild::build

#endif  // IMGBUILD_SRC_BUILD_MEMORY_DIR_H_
