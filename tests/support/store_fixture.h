// What the contract suites of the store's parts run on.
#ifndef IMGBUILD_TESTS_SUPPORT_STORE_FIXTURE_H_
#define IMGBUILD_TESTS_SUPPORT_STORE_FIXTURE_H_

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "imgbuild/store/store.h"

namespace imgbuild::store {

// A fresh, empty store and whatever it lives in.
class StoreFixture {
 public:
  virtual ~StoreFixture() = default;
  virtual Store& store() = 0;
};

struct StoreFactory {
  std::string name;
  std::function<std::unique_ptr<StoreFixture>()> make;
  friend void PrintTo(const StoreFactory& factory, std::ostream* out) {
    *out << factory.name;
  }
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_STORE_FIXTURE_H_
