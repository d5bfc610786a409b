// Directories in the state directory that live as long as one run. A killed
// program leaves its own behind; the next one removes what nobody holds.
#ifndef IMGBUILD_SRC_EXEC_SCRATCH_DIR_H_
#define IMGBUILD_SRC_EXEC_SCRATCH_DIR_H_

#include <string>

#include "imgbuild/util/fs.h"

namespace imgbuild::exec {

// A fresh directory in `state_dir`, locked while the result lives.
fs::TempDir MakeScratchDir(const std::string& state_dir);

// Removes scratch directories whose makers are gone (their lock is free) and
// that are older than a minute (a maker locks right after it makes).
void SweepScratchDirs(const std::string& state_dir);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_SCRATCH_DIR_H_
