// Shared by the store's own tests.
#ifndef IMGBUILD_TESTS_STORE_STORE_TEST_UTIL_H_
#define IMGBUILD_TESTS_STORE_STORE_TEST_UTIL_H_

#include <memory>
#include <string>

#include "imgbuild/store/store.h"
#include "imgbuild/util/fs.h"

#include "support/store_fixture.h"

namespace imgbuild::store {

// A real store in a temporary directory.
class LocalFixture : public StoreFixture {
 public:
  LocalFixture() { Reopen(); }
  Store& store() override { return *store_; }
  const std::string& root() const { return root_; }
  // As another process would find it.
  void Reopen() {
    store_.reset();
    store_ = Store::Open({root_, nullptr});
  }
  void Close() { store_.reset(); }

 private:
  fs::TempDir dir_ = fs::TempDir::InTmp("imgbuild-store-");
  std::string root_ = dir_.path() + "/root";
  std::unique_ptr<Store> store_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_STORE_STORE_TEST_UTIL_H_
