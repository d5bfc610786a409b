#include "build/memory_dir.h"

#include <fcntl.h>

namespace imgbuild::build {

fs::TempDir MemoryDir() {
  const UniqueFd shm =
      fs::OpenIfExists(AT_FDCWD, "/dev/shm", O_RDONLY | O_DIRECTORY);
  if (shm) return fs::TempDir(shm.get(), "imgbuild-");
  return fs::TempDir::InTmp();
}

}  // namespace imgbuild::build
