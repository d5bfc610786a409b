// Garbage collection: what stays, what goes, who may hinder it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"

#include "store_test_util.h"
#include "support/fake_clock.h"

namespace imgbuild::store {
namespace {

class SweepTest : public ::testing::Test {
 protected:
  Store& store() { return fixture_.store(); }

  // A whole image: blobs, an unpacked layer, the record.
  ImageRecord AddImage(const std::string& seed) {
    oci::ImageConfig config;
    config.platform = oci::Platform::Host();
    config.author = seed;
    const oci::DiffId diff_id(oci::Digest::OfBytes("tar " + seed));
    config.diff_ids = {diff_id};
    const std::string config_bytes = oci::Serialize(config);
    const oci::Descriptor layer =
        Blob("layer " + seed, oci::media_type::kOciLayerGzip);
    oci::Manifest manifest{std::string(oci::media_type::kOciManifest),
                           Blob(config_bytes, oci::media_type::kOciConfig),
                           {layer},
                           {},
                           "",
                           std::nullopt};
    const oci::Digest digest = store().content().Put(oci::Serialize(manifest));
    store().snapshots().Begin()->Commit(diff_id, {});
    ImageRecord image{digest,
                      oci::ImageId(manifest.config.digest),
                      config.platform,
                      std::nullopt,
                      1,
                      10,
                      {diff_id},
                      {layer}};
    store().images().PutImage(image);
    return image;
  }
  oci::Descriptor Blob(const std::string& bytes, std::string_view type) {
    return {std::string(type),
            store().content().Put(bytes),
            bytes.size(),
            std::nullopt,
            {},
            {},
            ""};
  }
  bool IsWhole(const ImageRecord& image) {
    return store().content().Has(image.manifest) &&
           store().content().Has(image.id.digest()) &&
           store().content().Has(image.layers[0].digest) &&
           store().snapshots().Has(image.diff_ids[0]);
  }
  bool IsGone(const ImageRecord& image) {
    return !store().content().Has(image.manifest) &&
           !store().content().Has(image.id.digest()) &&
           !store().content().Has(image.layers[0].digest) &&
           !store().snapshots().Has(image.diff_ids[0]);
  }
  std::vector<std::string> Names(const std::string& directory) {
    return fs::ListDir(
        fs::OpenDir(AT_FDCWD, fixture_.root() + "/" + directory).get());
  }

  LocalFixture fixture_;
};

TEST_F(SweepTest, AMountKeepsItsImageWithoutARecord) {
  const ImageRecord image = AddImage("mounted");
  store().mounts().Add(
      {image.manifest.hex(), false, image.manifest, image.id, "app:1"});
  store().images().RemoveImage(image.manifest);
  store().SweepOnly({image.manifest, image.id.digest(), image.layers[0].digest,
                     image.diff_ids[0].digest()});
  EXPECT_TRUE(IsWhole(image));
  store().Sweep(true);
  EXPECT_TRUE(IsWhole(image));
  store().mounts().Remove(image.manifest.hex());
  store().Sweep(true);
  EXPECT_TRUE(IsGone(image));
}

TEST_F(SweepTest, AnEmptyStoreGivesNothing) {
  const Swept swept = store().Sweep(true);
  EXPECT_TRUE(swept.blobs.empty());
  EXPECT_TRUE(swept.layers.empty());
  EXPECT_EQ(swept.bytes, 0u);
}

TEST_F(SweepTest, ImagesKeepWhatTheyNeedAndTheRestGoes) {
  const ImageRecord image = AddImage("a");
  const oci::Digest loose = store().content().Put("loose");
  const oci::DiffId loose_layer(oci::Digest::OfBytes("loose layer"));
  store().snapshots().Begin()->Commit(loose_layer, {});
  const Swept swept = store().Sweep(false);
  EXPECT_EQ(swept.blobs, std::vector<oci::Digest>{loose});
  EXPECT_EQ(swept.layers, std::vector<oci::DiffId>{loose_layer});
  EXPECT_TRUE(IsWhole(image));
  EXPECT_FALSE(store().snapshots().Has(loose_layer));
}

TEST_F(SweepTest, WhatIsToBeKeptStays) {
  const oci::Digest kept = store().content().Put("kept");
  const oci::Digest loose = store().content().Put("loose");
  EXPECT_EQ(store().SweepExcept(true, {kept}).blobs,
            std::vector<oci::Digest>{loose});
  EXPECT_TRUE(store().content().Has(kept));
  EXPECT_EQ(store().Sweep(true).blobs, std::vector<oci::Digest>{kept});
}

TEST_F(SweepTest, ARemovedImageGoesAndWhatItSharedStays) {
  const ImageRecord a = AddImage("a");
  const ImageRecord b = AddImage("b");
  ImageRecord c = AddImage("c");
  c.layers.push_back(a.layers[0]);
  c.diff_ids.push_back(a.diff_ids[0]);
  store().images().PutImage(c);
  store().images().RemoveImage(a.manifest);
  const Swept swept = store().Sweep(false);
  EXPECT_EQ(swept.blobs.size(), 2u);  // manifest and config
  EXPECT_TRUE(swept.layers.empty());
  EXPECT_TRUE(store().snapshots().Has(a.diff_ids[0]));
  EXPECT_TRUE(IsWhole(b));
  EXPECT_GT(swept.bytes, 0u);
}

TEST_F(SweepTest, TheShortWayDoesTheSame) {
  const ImageRecord a = AddImage("a");
  const ImageRecord b = AddImage("b");
  const oci::Digest loose = store().content().Put("loose");
  store().images().RemoveImage(a.manifest);
  const Swept swept = store().SweepOnly(
      {a.manifest, a.id.digest(), a.layers[0].digest, a.diff_ids[0].digest(),
       b.manifest, b.id.digest(), b.layers[0].digest, b.diff_ids[0].digest()});
  EXPECT_EQ(swept.blobs.size(), 3u);
  EXPECT_EQ(swept.layers, std::vector<oci::DiffId>{a.diff_ids[0]});
  EXPECT_TRUE(IsGone(a));
  EXPECT_TRUE(IsWhole(b));
  // It looks at nothing else.
  EXPECT_TRUE(store().content().Has(loose));
}

TEST_F(SweepTest, AnIndexStaysWithItsImages) {
  const ImageRecord a = AddImage("a");
  const oci::Digest index = store().content().Put("{\"manifests\":[]}");
  store().images().LinkIndex(index, a.manifest);
  store().Sweep(false);
  EXPECT_TRUE(store().content().Has(index));
  store().images().RemoveImage(a.manifest);
  store().Sweep(false);
  EXPECT_FALSE(store().content().Has(index));
}

TEST_F(SweepTest, CacheRecordsKeepTheirLayersUntilTheCacheIsDropped) {
  const oci::Descriptor blob = Blob("step", oci::media_type::kOciLayerGzip);
  const oci::DiffId id(oci::Digest::OfBytes("step tar"));
  store().snapshots().Begin()->Commit(id, {});
  const oci::Digest key = oci::Digest::OfBytes("key");
  store().cache().Put(key, {StoredLayer{id, blob, 5}, "RUN"});
  store().cache().SetLastRecipe("slot", "RUN");
  SaveStats(store(), "/src", "bytes");
  EXPECT_TRUE(store().Sweep(false).blobs.empty());
  EXPECT_TRUE(store().content().Has(blob.digest));
  const Swept swept = store().Sweep(true);
  EXPECT_EQ(swept.blobs, std::vector<oci::Digest>{blob.digest});
  EXPECT_EQ(swept.layers, std::vector<oci::DiffId>{id});
  EXPECT_FALSE(store().cache().Find(key).has_value());
  EXPECT_FALSE(store().cache().FindLayer(id).has_value());
  EXPECT_FALSE(store().cache().LastRecipe("slot").has_value());
  EXPECT_FALSE(store().stat_cache().Load("/src").has_value());
}

TEST_F(SweepTest, AContainerKeepsItsImageWithoutARecord) {
  const ImageRecord a = AddImage("a");
  const std::string dir = fixture_.root() + "/containers/c1";
  fs::MakeDirs(AT_FDCWD, dir, 0700);
  fs::WriteFileAtomic(AT_FDCWD, dir + "/" + kContainerImageFile,
                      a.manifest.ToString() + "\n");
  store().images().RemoveImage(a.manifest);
  EXPECT_TRUE(store().Sweep(true).blobs.empty());
  EXPECT_TRUE(store()
                  .SweepOnly({a.manifest, a.id.digest(), a.layers[0].digest,
                              a.diff_ids[0].digest()})
                  .blobs.empty());
  EXPECT_TRUE(IsWhole(a));
  fs::RemoveTree(AT_FDCWD, dir);
  EXPECT_EQ(store().Sweep(true).blobs.size(), 3u);
  EXPECT_TRUE(IsGone(a));
}

TEST_F(SweepTest, ALayerInUseStays) {
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  store().snapshots().Begin()->Commit(id, {});
  {
    const auto view = store().snapshots().View({id});
    EXPECT_TRUE(store().Sweep(true).layers.empty());
    EXPECT_TRUE(store().snapshots().Has(id));
  }
  EXPECT_EQ(store().Sweep(true).layers.size(), 1u);
}

TEST_F(SweepTest, ALeaseHoldsEverything) {
  const oci::Digest loose = store().content().Put("loose");
  {
    const auto lease = store().Hold();
    const auto second = store().Hold();
    EXPECT_TRUE(store().Sweep(true).blobs.empty());
    EXPECT_TRUE(store().SweepOnly({loose}).blobs.empty());
    EXPECT_TRUE(store().content().Has(loose));
  }
  EXPECT_EQ(store().Sweep(true).blobs.size(), 1u);
}

TEST_F(SweepTest, OriginsGoWithTheLastNeed) {
  const ImageRecord a = AddImage("a");
  const oci::Repository alpine = oci::Repository::Parse("alpine");
  // A base layer that was never fetched: known, not here.
  ImageRecord b = AddImage("b");
  b.layers[0].digest = oci::Digest::OfBytes("remote");
  store().images().PutImage(b);
  store().AddOrigin(b.layers[0].digest, alpine);
  store().AddOrigin(oci::Digest::OfBytes("nobody"), alpine);
  store().Sweep(false);
  EXPECT_EQ(store().Origins(b.layers[0].digest).size(), 1u);
  EXPECT_TRUE(store().Origins(oci::Digest::OfBytes("nobody")).empty());
}

TEST_F(SweepTest, WhatADeadProcessLeftIsRemovedAndALivingOnesStays) {
  // A directory whose lock nobody holds.
  fs::MakeDirs(AT_FDCWD, fixture_.root() + "/tmp/p-dead/layer-x/fs", 0700);
  const fs::TempDir ours = store().NewTemp("x-");
  store().Sweep(false);
  EXPECT_EQ(Names("tmp").size(), 1u);
  EXPECT_TRUE(fs::LstatIfExists(AT_FDCWD, ours.path()).has_value());
}

TEST_F(SweepTest, PartialDownloadsStayForAWeek) {
  imgbuild::testing::FakeClock clock(::time(nullptr));
  fixture_.clock = &clock;
  fixture_.Reopen();
  const oci::Digest digest = oci::Digest::OfBytes("hello");
  store().content().BeginResumable(digest, 5)->Write(AsBytes("he"));
  store().Sweep(false);
  EXPECT_EQ(store().content().BeginResumable(digest, 5)->offset(), 2u);
  clock.Advance(std::chrono::hours(8 * 24));
  {
    const auto held = store().content().BeginResumable(digest, 5);
    store().Sweep(false);
    EXPECT_EQ(held->offset(), 2u);
  }
  EXPECT_EQ(store().content().BeginResumable(digest, 5)->offset(), 2u);
  store().Sweep(false);
  EXPECT_EQ(store().content().BeginResumable(digest, 5)->offset(), 0u);
}

TEST_F(SweepTest, DroppingTheCacheDropsPartialDownloads) {
  const oci::Digest digest = oci::Digest::OfBytes("hello");
  store().content().BeginResumable(digest, 5)->Write(AsBytes("he"));
  store().Sweep(true);
  EXPECT_EQ(store().content().BeginResumable(digest, 5)->offset(), 0u);
}

TEST_F(SweepTest, SweepingSyncsTheLayersThatStay) {
  AddImage("a");
  const auto marks = [&] {
    std::vector<std::string> all;
    for (const std::string& boot : Names("unsynced")) {
      for (const std::string& mark : Names("unsynced/" + boot)) {
        all.push_back(mark.substr(0, 2));
      }
    }
    return all;
  };
  // The blobs were synced when the image got its record.
  EXPECT_EQ(marks(), std::vector<std::string>{"l-"});
  store().Sweep(false);
  EXPECT_TRUE(marks().empty());
}

}  // namespace
}  // namespace imgbuild::store
