// Shared by the store's own tests.
#ifndef IMGBUILD_TESTS_STORE_STORE_TEST_UTIL_H_
#define IMGBUILD_TESTS_STORE_STORE_TEST_UTIL_H_

#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>

#include "imgbuild/store/store.h"
#include "imgbuild/util/fs.h"

#include "support/store_fixture.h"

namespace imgbuild::store {

// In memory where there is such a place: thousands of small files are made.
// Tests that are about disks use fs::TempDir::InTmp().
inline fs::TempDir FastTempDir() {
  if (::access("/dev/shm", W_OK) != 0) return fs::TempDir::InTmp();
  return fs::TempDir(fs::OpenDir(AT_FDCWD, "/dev/shm").get(), "imgbuild-");
}

// A real store in a temporary directory.
class LocalFixture : public StoreFixture {
 public:
  LocalFixture() { Reopen(); }
  explicit LocalFixture(fs::TempDir dir) : dir_(std::move(dir)) { Reopen(); }
  Store& store() override { return *store_; }
  const std::string& root() const { return root_; }
  // As another process would find it.
  void Reopen() {
    store_.reset();
    store_ = Store::Open({root_, clock});
  }
  void Close() { store_.reset(); }
  // Of the next Reopen().
  const Clock* clock = nullptr;

 private:
  fs::TempDir dir_ = FastTempDir();
  std::string root_ = dir_.path() + "/root";
  std::unique_ptr<Store> store_;
};

inline void SaveStats(Store& store, const std::string& key,
                      const std::string& bytes) {
  store.stat_cache().Save(key, [&](Writer& out) { out.Write(AsBytes(bytes)); });
}

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_STORE_STORE_TEST_UTIL_H_
