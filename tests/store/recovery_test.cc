// After a crash of the machine: what was not synced is checked or dropped.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "imgbuild/util/error.h"

#include "store_test_util.h"

namespace imgbuild::store {
namespace {

class RecoveryTest : public testing::Test {
 protected:
  Store& store() { return fixture_.store(); }
  std::string Path(const std::string& name) {
    return fixture_.root() + "/" + name;
  }
  // As if everything so far had happened before the machine went down.
  void Reboot() {
    fixture_.Close();
    const UniqueFd dir = fs::OpenDir(AT_FDCWD, Path("unsynced"));
    for (const std::string& boot : fs::ListDir(dir.get())) {
      fs::Rename(dir.get(), boot, dir.get(), "an-earlier-boot");
    }
    fixture_.Reopen();
  }
  void Overwrite(const oci::Digest& digest, const std::string& text) {
    fs::WriteFileAtomic(AT_FDCWD, Path("blobs/sha256/" + digest.hex()), text);
  }
  ImageRecord Image(const oci::Digest& manifest, const oci::Digest& config) {
    return {manifest,
            oci::ImageId(config),
            oci::Platform::Host(),
            std::nullopt,
            1,
            1,
            {},
            {}};
  }

  LocalFixture fixture_;
};

TEST_F(RecoveryTest, AWholeUnsyncedBlobStays) {
  const oci::Digest digest = store().content().Put("hello");
  Reboot();
  EXPECT_TRUE(store().content().Has(digest));
  EXPECT_TRUE(
      fs::ListDir(fs::OpenDir(AT_FDCWD, Path("unsynced")).get()).empty());
}

TEST_F(RecoveryTest, ATornUnsyncedBlobGoes) {
  const oci::Digest torn = store().content().Put("hello");
  const oci::Digest empty = store().content().Put("world");
  const oci::Digest whole = store().content().Put("whole");
  Overwrite(torn, "hel");
  Overwrite(empty, "");
  Reboot();
  EXPECT_EQ(store().content().List(), std::vector<oci::Digest>{whole});
}

TEST_F(RecoveryTest, ASyncedBlobIsNotLookedAt) {
  const oci::Digest config = store().content().Put("config");
  const oci::Digest manifest = store().content().Put("manifest");
  store().images().PutImage(Image(manifest, config));
  Overwrite(config, "bitrot is not what this is about");
  Reboot();
  EXPECT_TRUE(store().content().Has(config));
  EXPECT_TRUE(store().content().Has(manifest));
}

TEST_F(RecoveryTest, AnUnsyncedLayerGoes) {
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  store().snapshots().Begin()->Commit(id, {});
  Reboot();
  EXPECT_FALSE(store().snapshots().Has(id));
  EXPECT_TRUE(store().snapshots().List().empty());
  // And can be made again.
  store().snapshots().Begin()->Commit(id, {});
  EXPECT_TRUE(store().snapshots().Has(id));
}

TEST_F(RecoveryTest, ASyncedLayerStays) {
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  store().snapshots().Begin()->Commit(id, {});
  StoredLayer layer{id,
                    {std::string(oci::media_type::kOciLayerGzip),
                     oci::Digest::OfBytes("blob"),
                     1,
                     std::nullopt,
                     {},
                     {},
                     ""},
                    1};
  store().cache().Put(oci::Digest::OfBytes("key"), {layer, "RUN"});
  store().Sweep(false);
  Reboot();
  EXPECT_TRUE(store().snapshots().Has(id));
}

TEST_F(RecoveryTest, WithinOneBootNothingIsDropped) {
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  store().snapshots().Begin()->Commit(id, {});
  const oci::Digest digest = store().content().Put("hello");
  fixture_.Reopen();
  EXPECT_TRUE(store().snapshots().Has(id));
  EXPECT_TRUE(store().content().Has(digest));
}

TEST_F(RecoveryTest, MarksOfThingsThatNeverCameDoNoHarm) {
  fs::MakeDirs(AT_FDCWD, Path("unsynced/an-earlier-boot"), 0700);
  const UniqueFd dir = fs::OpenDir(AT_FDCWD, Path("unsynced/an-earlier-boot"));
  const std::string hex = oci::Digest::OfBytes("x").hex();
  const std::vector<std::string> names = {"b-sha256-" + hex, "l-sha256-" + hex,
                                          "garbage", "b-", "x"};
  for (const std::string& name : names) {
    fs::Open(dir.get(), name, O_WRONLY | O_CREAT, 0600);
  }
  fixture_.Reopen();
  EXPECT_TRUE(store().content().List().empty());
  EXPECT_TRUE(store().snapshots().List().empty());
  EXPECT_TRUE(
      fs::ListDir(fs::OpenDir(AT_FDCWD, Path("unsynced")).get()).empty());
}

}  // namespace
}  // namespace imgbuild::store
