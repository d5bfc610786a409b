// The contract suites, on the real store and on the one for tests.
#include "store_test_util.h"
#include "support/build_cache_contract.h"
#include "support/content_store_contract.h"
#include "support/image_store_contract.h"
#include "support/memory_store.h"
#include "support/snapshotter_contract.h"

namespace imgbuild::store {
namespace {

class MemoryFixture : public StoreFixture {
 public:
  Store& store() override { return *store_; }

 private:
  std::unique_ptr<Store> store_ = NewMemoryStore();
};

const StoreFactory kLocal{"Local",
                          [] { return std::make_unique<LocalFixture>(); }};
const StoreFactory kMemory{"Memory",
                           [] { return std::make_unique<MemoryFixture>(); }};

std::string NameOf(const testing::TestParamInfo<StoreFactory>& info) {
  return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Stores, ContentStoreContract,
                         testing::Values(kLocal, kMemory), NameOf);
INSTANTIATE_TEST_SUITE_P(Stores, BuildCacheContract,
                         testing::Values(kLocal, kMemory), NameOf);
INSTANTIATE_TEST_SUITE_P(Stores, ImageStoreContract,
                         testing::Values(kLocal, kMemory), NameOf);
INSTANTIATE_TEST_SUITE_P(Stores, SnapshotterContract,
                         testing::Values(kLocal, kMemory), NameOf);

}  // namespace
}  // namespace imgbuild::store
