// What the files of fs.h share.
#ifndef IMGBUILD_SRC_UTIL_FS_INTERNAL_H_
#define IMGBUILD_SRC_UTIL_FS_INTERNAL_H_

#include <string>

#include "imgbuild/util/unique_fd.h"

namespace imgbuild::fs {

// Sixteen characters that nobody can guess.
std::string RandomName();

// Creates PREFIX + RandomName() in `dirfd`, 0600, for reading and writing.
UniqueFd CreateUnique(int dirfd, const std::string& prefix, std::string* name);

}  // namespace imgbuild::fs

#endif  // IMGBUILD_SRC_UTIL_FS_INTERNAL_H_
