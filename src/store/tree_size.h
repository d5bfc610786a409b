// Disk space below a directory.
#ifndef IMGBUILD_SRC_STORE_TREE_SIZE_H_
#define IMGBUILD_SRC_STORE_TREE_SIZE_H_

#include <cstdint>
#include <string>

namespace imgbuild::store {

// Bytes that come free when `name` in `dirfd` is removed: allocated blocks of
// everything below, without files that also have a name elsewhere. Follows no
// links; absent is 0.
uint64_t TreeSize(int dirfd, const std::string& name);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_TREE_SIZE_H_
