// What every BuildCache does.
#ifndef IMGBUILD_TESTS_SUPPORT_BUILD_CACHE_CONTRACT_H_
#define IMGBUILD_TESTS_SUPPORT_BUILD_CACHE_CONTRACT_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "imgbuild/store/build_cache.h"

#include "support/store_fixture.h"

namespace imgbuild::store {

class BuildCacheContract : public testing::TestWithParam<StoreFactory> {
 protected:
  void SetUp() override { fixture_ = GetParam().make(); }
  BuildCache& cache() { return fixture_->store().cache(); }
  static oci::Digest Key(const std::string& text) {
    return oci::Digest::OfBytes(text);
  }
  static StoredLayer Layer(const std::string& text) {
    oci::Descriptor blob{std::string(oci::media_type::kOciLayerGzip),
                         oci::Digest::OfBytes("gz " + text),
                         text.size(),
                         std::nullopt,
                         {},
                         {},
                         ""};
    return {oci::DiffId(oci::Digest::OfBytes(text)), std::move(blob), 1024};
  }
  static void ExpectSame(const StoredLayer& a, const StoredLayer& b) {
    EXPECT_EQ(a.diff_id, b.diff_id);
    EXPECT_EQ(a.blob, b.blob);
    EXPECT_EQ(a.tar_size, b.tar_size);
  }
  std::unique_ptr<StoreFixture> fixture_;
};

TEST_P(BuildCacheContract, FindsWhatWasPut) {
  EXPECT_FALSE(cache().Find(Key("a")).has_value());
  cache().Put(Key("a"), {Layer("a"), "RUN a\nenv"});
  const auto record = cache().Find(Key("a"));
  ASSERT_TRUE(record.has_value());
  ASSERT_TRUE(record->layer.has_value());
  ExpectSame(*record->layer, Layer("a"));
  EXPECT_EQ(record->recipe, "RUN a\nenv");
  EXPECT_FALSE(cache().Find(Key("b")).has_value());
}

TEST_P(BuildCacheContract, AStepThatChangedNothingHasARecordWithoutLayer) {
  cache().Put(Key("a"), {std::nullopt, "RUN true"});
  const auto record = cache().Find(Key("a"));
  ASSERT_TRUE(record.has_value());
  EXPECT_FALSE(record->layer.has_value());
}

TEST_P(BuildCacheContract, TheLastPutWins) {
  cache().Put(Key("a"), {Layer("a"), "one"});
  cache().Put(Key("a"), {Layer("b"), "two"});
  const auto record = cache().Find(Key("a"));
  ASSERT_TRUE(record && record->layer);
  ExpectSame(*record->layer, Layer("b"));
  EXPECT_EQ(record->recipe, "two");
  cache().Put(Key("a"), {std::nullopt, "three"});
  EXPECT_FALSE(cache().Find(Key("a"))->layer.has_value());
}

TEST_P(BuildCacheContract, RecipesAreBytes) {
  const std::string recipe("with \0 and \xFF inside", 20);
  cache().Put(Key("a"), {std::nullopt, recipe});
  EXPECT_EQ(cache().Find(Key("a"))->recipe, recipe);
  cache().SetLastRecipe("slot", recipe);
  EXPECT_EQ(cache().LastRecipe("slot"), recipe);
}

TEST_P(BuildCacheContract, RemembersTheLastRecipeOfASlot) {
  EXPECT_EQ(cache().LastRecipe("Dockerfile#2"), std::nullopt);
  cache().SetLastRecipe("Dockerfile#2", "one");
  cache().SetLastRecipe("Dockerfile#3", "other");
  cache().SetLastRecipe("Dockerfile#2", "two");
  EXPECT_EQ(cache().LastRecipe("Dockerfile#2"), "two");
  EXPECT_EQ(cache().LastRecipe("Dockerfile#3"), "other");
}

TEST_P(BuildCacheContract, KnowsLayersOfBuildsAndOfPulls) {
  EXPECT_FALSE(cache().FindLayer(Layer("a").diff_id).has_value());
  cache().Put(Key("a"), {Layer("a"), ""});
  cache().PutLayer(Layer("b"));
  ExpectSame(*cache().FindLayer(Layer("a").diff_id), Layer("a"));
  ExpectSame(*cache().FindLayer(Layer("b").diff_id), Layer("b"));
}

TEST_P(BuildCacheContract, ALayerMayGetAnotherBlob) {
  StoredLayer layer = Layer("a");
  cache().PutLayer(layer);
  layer.blob.media_type = oci::media_type::kOciLayerZstd;
  layer.blob.digest = oci::Digest::OfBytes("zstd");
  layer.blob.annotations = {{"k", "v"}};
  layer.blob.urls = {"https://example.com/x"};
  layer.blob.artifact_type = "t";
  layer.blob.platform = oci::Platform{"linux", "arm", "v7", "1", {"f"}};
  cache().PutLayer(layer);
  ExpectSame(*cache().FindLayer(layer.diff_id), layer);
}

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_BUILD_CACHE_CONTRACT_H_
