// A Store without a disk, but for temporary directories where the interfaces
// hand out directories. Shares no code with the real one except the reading of
// references. For tests of what is built on a store.
#ifndef IMGBUILD_TESTS_SUPPORT_MEMORY_STORE_H_
#define IMGBUILD_TESTS_SUPPORT_MEMORY_STORE_H_

#include <memory>

#include "imgbuild/store/store.h"

namespace imgbuild::store {

std::unique_ptr<Store> NewMemoryStore();

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_MEMORY_STORE_H_
