// KeepBelow(): what goes, in which order, and what stays whatever the limit.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/fs.h"

#include "store_test_util.h"
#include "support/fake_clock.h"

namespace imgbuild::store {
namespace {

constexpr size_t kBlobBytes = 400 << 10;

class LimitTest : public ::testing::Test {
 protected:
  LimitTest() {
    fixture_.clock = &clock_;
    fixture_.Reopen();
  }
  Store& store() { return fixture_.store(); }

  oci::Descriptor Blob(const std::string& bytes, std::string_view type) {
    return {std::string(type),
            store().content().Put(bytes),
            bytes.size(),
            std::nullopt,
            {},
            {},
            ""};
  }
  // A layer with a blob of about kBlobBytes.
  StoredLayer Layer(const std::string& seed) {
    std::string bytes = seed;
    bytes.resize(kBlobBytes, 'x');
    const oci::DiffId diff_id(oci::Digest::OfBytes("tar " + seed));
    store().snapshots().Begin()->Commit(diff_id, {});
    return {diff_id, Blob(bytes, oci::media_type::kOciLayerGzip), kBlobBytes};
  }
  // As a build of that time leaves it behind.
  StoredLayer CachedAt(int64_t seconds, const std::string& seed) {
    clock_.SetSeconds(seconds);
    fixture_.Reopen();
    const StoredLayer layer = Layer(seed);
    store().cache().Put(oci::Digest::OfBytes("key " + seed), {layer, seed});
    return layer;
  }
  ImageRecord ImageAt(int64_t seconds, const std::string& seed) {
    clock_.SetSeconds(seconds);
    const StoredLayer layer = Layer(seed);
    oci::ImageConfig config;
    config.platform = oci::Platform::Host();
    config.author = seed;
    config.diff_ids = {layer.diff_id};
    const oci::Manifest manifest{
        std::string(oci::media_type::kOciManifest),
        Blob(oci::Serialize(config), oci::media_type::kOciConfig),
        {layer.blob},
        {},
        "",
        std::nullopt};
    const oci::Digest digest = store().content().Put(oci::Serialize(manifest));
    const ImageRecord image{
        digest,          oci::ImageId(manifest.config.digest),
        config.platform, std::nullopt,
        seconds,         10,
        {layer.diff_id}, {layer.blob}};
    store().images().PutImage(image);
    SetTime(digest, seconds);
    return image;
  }
  // The manifest's blob, whose time says when a build used it.
  void SetTime(const oci::Digest& digest, int64_t seconds) {
    const timespec times[2] = {{seconds, 0}, {seconds, 0}};
    const std::string path = fixture_.root() + "/blobs/sha256/" + digest.hex();
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  void Name(const ImageRecord& image, std::optional<std::string> tag) {
    store().images().SetName({oci::Repository::Parse("docker.io/library/app"),
                              std::move(tag), image.manifest, image.manifest,
                              std::nullopt, false});
  }
  bool IsThere(const StoredLayer& layer) {
    return store().content().Has(layer.blob.digest);
  }
  bool IsThere(const ImageRecord& image) {
    const bool blob = store().content().Has(image.layers[0].digest);
    EXPECT_EQ(blob, store().images().FindManifest(image.manifest).has_value());
    return blob;
  }
  uint64_t Size() { return store().KeepBelow({~uint64_t{0}, {}}).bytes; }
  // Makes room for one blob of kBlobBytes, and for what that costs.
  LimitResult FreeOne() {
    return store().KeepBelow({Size() - kBlobBytes / 2, {}});
  }

  testing::FakeClock clock_;
  LocalFixture fixture_{fs::TempDir::InTmp()};
};

TEST_F(LimitTest, DoesNothingBelowTheLimit) {
  const StoredLayer layer = CachedAt(1000, "a");
  const LimitResult result = store().KeepBelow({uint64_t{1} << 30, {}});
  EXPECT_EQ(result.freed, 0u);
  EXPECT_GT(result.bytes, kBlobBytes);
  EXPECT_EQ(result.bytes, result.bytes_before);
  EXPECT_TRUE(IsThere(layer));
}

TEST_F(LimitTest, WhatNothingNeedsGoesFirst) {
  const StoredLayer cached = CachedAt(1000, "a");
  const StoredLayer loose = Layer("loose");
  const LimitResult result = FreeOne();
  EXPECT_FALSE(IsThere(loose));
  EXPECT_TRUE(IsThere(cached));
  EXPECT_GE(result.freed, kBlobBytes);
  EXPECT_TRUE(result.holders.empty());
}

TEST_F(LimitTest, ThenWhatWasUsedLongestAgo) {
  const StoredLayer first = CachedAt(1000, "a");
  const StoredLayer second = CachedAt(2000, "b");
  const StoredLayer third = CachedAt(3000, "c");
  // The first is used again.
  clock_.SetSeconds(4000);
  fixture_.Reopen();
  EXPECT_TRUE(store().cache().Find(oci::Digest::OfBytes("key a")));
  fixture_.Reopen();
  FreeOne();
  EXPECT_TRUE(IsThere(first));
  EXPECT_FALSE(IsThere(second));
  EXPECT_TRUE(IsThere(third));
  EXPECT_FALSE(store().cache().Find(oci::Digest::OfBytes("key b")));
  FreeOne();
  EXPECT_TRUE(IsThere(first));
  EXPECT_FALSE(IsThere(third));
}

TEST_F(LimitTest, TheStepsOfABuildGoTogether) {
  clock_.SetSeconds(1000);
  fixture_.Reopen();
  std::vector<StoredLayer> chain;
  for (const char* seed : {"1", "2", "3"}) {
    chain.push_back(Layer(seed));
    store().cache().Put(oci::Digest::OfBytes(seed), {chain.back(), seed});
    clock_.SetSeconds(clock_.NowSeconds() + 100);  // a slow build
  }
  const StoredLayer later = CachedAt(1050, "later");
  FreeOne();
  for (const StoredLayer& layer : chain) EXPECT_FALSE(IsThere(layer));
  EXPECT_TRUE(IsThere(later));
}

TEST_F(LimitTest, ImagesWithoutATagAreACacheToo) {
  const ImageRecord old = ImageAt(1000, "old");
  const ImageRecord by_digest = ImageAt(2000, "digest");
  Name(by_digest, std::nullopt);
  const ImageRecord tagged = ImageAt(500, "tagged");
  Name(tagged, "1");
  FreeOne();
  EXPECT_FALSE(IsThere(old));
  EXPECT_TRUE(IsThere(by_digest));
  FreeOne();
  EXPECT_FALSE(IsThere(by_digest));
  EXPECT_TRUE(IsThere(tagged));
}

TEST_F(LimitTest, AnImageThatABuildUsesIsYoung) {
  const ImageRecord old = ImageAt(1000, "old");
  const ImageRecord young = ImageAt(2000, "young");
  store().NoteUse(old.manifest);
  FreeOne();
  EXPECT_TRUE(IsThere(old));
  EXPECT_FALSE(IsThere(young));
}

TEST_F(LimitTest, NothingInUseGoes) {
  const ImageRecord tagged = ImageAt(1000, "tagged");
  Name(tagged, "1");
  const ImageRecord kept = ImageAt(1000, "kept");
  const ImageRecord by_index = ImageAt(1000, "index");
  const oci::Digest index = store().content().Put("an index");
  store().images().SetName({oci::Repository::Parse("docker.io/library/base"),
                            std::nullopt, index, by_index.manifest,
                            std::nullopt, true});
  const ImageRecord mounted = ImageAt(1000, "mounted");
  store().mounts().Add(
      {mounted.manifest.hex(), false, mounted.manifest, mounted.id, "x"});
  const ImageRecord contained = ImageAt(1000, "contained");
  ContainerRecord container{std::string(64, 'a'), "web", contained.manifest,
                            contained.id, "x"};
  store().containers().Add(container);
  const StoredLayer cached = CachedAt(1000, "cached");

  const LimitResult result = store().KeepBelow({1, {kept.manifest, index}});
  EXPECT_FALSE(IsThere(cached));
  for (const ImageRecord& image :
       {tagged, kept, by_index, mounted, contained}) {
    EXPECT_TRUE(IsThere(image));
    EXPECT_TRUE(store().snapshots().Has(image.diff_ids[0]));
  }
  EXPECT_FALSE(result.busy);
  EXPECT_GT(result.bytes, 1u);
  ASSERT_FALSE(result.holders.empty());
  bool told = false;
  for (const auto& holder : result.holders) {
    told = told || holder.what == "image app:1";
    EXPECT_GT(holder.bytes, 0u) << holder.what;
  }
  EXPECT_TRUE(told);
}

TEST_F(LimitTest, ALayerOfATaggedImageStaysWhenItsRecordGoes) {
  const StoredLayer layer = CachedAt(1000, "a");
  oci::ImageConfig config;
  config.platform = oci::Platform::Host();
  config.diff_ids = {layer.diff_id};
  const oci::Descriptor config_blob =
      Blob(oci::Serialize(config), oci::media_type::kOciConfig);
  const oci::Digest manifest = store().content().Put("a manifest");
  store().images().PutImage({manifest,
                             oci::ImageId(config_blob.digest),
                             config.platform,
                             std::nullopt,
                             1000,
                             10,
                             {layer.diff_id},
                             {layer.blob}});
  store().images().SetName({oci::Repository::Parse("docker.io/library/app"),
                            "1", manifest, manifest, std::nullopt, false});
  store().KeepBelow({1, {}});
  EXPECT_TRUE(IsThere(layer));
  EXPECT_TRUE(store().snapshots().Has(layer.diff_id));
}

TEST_F(LimitTest, CacheMountsGoByTheirLastUse) {
  const auto fill = [&](const std::string& id) {
    const std::string dir = store().CacheMountDir(id);
    const UniqueFd fd =
        fs::Open(AT_FDCWD, dir + "/f", O_WRONLY | O_CREAT, 0600);
    fs::WriteAll(fd.get(), AsBytes(std::string(kBlobBytes, 'x')), "f");
    return dir;
  };
  const std::string old = fill("old");
  const std::string used = fill("used");
  const timespec times[2] = {{1000, 0}, {1000, 0}};
  for (const std::string& dir : {old, used}) {
    ASSERT_EQ(::utimensat(AT_FDCWD, dir.c_str(), times, 0), 0);
  }
  store().CacheMountDir("used");
  FreeOne();
  EXPECT_NE(::access(old.c_str(), F_OK), 0);
  EXPECT_EQ(::access(used.c_str(), F_OK), 0);
}

TEST_F(LimitTest, WaitsForNobody) {
  const StoredLayer loose = Layer("loose");
  const uint64_t size = Size();
  const auto lease = store().Hold();
  const LimitResult result = store().KeepBelow({1, {}});
  EXPECT_TRUE(result.busy);
  EXPECT_EQ(result.bytes, size);
  EXPECT_TRUE(IsThere(loose));
}

TEST_F(LimitTest, RemembersTheSizesOfLayers) {
  const StoredLayer layer = Layer("a");
  const uint64_t size = Size();
  // What is remembered counts: nothing looks into the directory again.
  const std::string path = fixture_.root() + "/layer-sizes";
  const std::string name = layer.diff_id.hex();
  fs::WriteFileAtomic(AT_FDCWD, path, name + " 1000000\nnonsense\nx y\n");
  EXPECT_GT(Size(), size + 900000);
  store().Sweep(true);
  EXPECT_LT(Size(), size);
}

}  // namespace
}  // namespace imgbuild::store
