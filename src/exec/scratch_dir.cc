#include "exec/scratch_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "imgbuild/util/error.h"

namespace imgbuild::exec {
namespace {

constexpr char kPrefix[] = "scratch-";
constexpr time_t kMinAgeSeconds = 60;

}  // namespace

fs::TempDir MakeScratchDir(const std::string& state_dir) {
  UniqueFd state = fs::OpenDir(AT_FDCWD, state_dir);
  fs::TempDir dir(state.get(), kPrefix);
  if (flock(dir.fd(), LOCK_EX | LOCK_NB) != 0) {
    throw ErrnoError("lock", dir.path(), errno);
  }
  return dir;
}

void SweepScratchDirs(const std::string& state_dir) {
  UniqueFd state = fs::OpenDir(AT_FDCWD, state_dir);
  time_t now = std::time(nullptr);
  for (const std::string& name : fs::ListDir(state.get())) {
    if (!name.starts_with(kPrefix)) continue;
    UniqueFd dir = fs::OpenIfExists(state.get(), name,
                                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!dir || now - fs::Fstat(dir.get()).st_ctime < kMinAgeSeconds) continue;
    if (flock(dir.get(), LOCK_EX | LOCK_NB) != 0) continue;
    fs::RemoveTree(state.get(), name);
  }
}

}  // namespace imgbuild::exec
