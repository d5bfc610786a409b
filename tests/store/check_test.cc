// `store check` finds what is broken and drops nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "imgbuild/util/error.h"

#include "store_test_util.h"

namespace imgbuild::store {
namespace {

using Lines = std::vector<std::string>;

class CheckTest : public testing::Test {
 protected:
  Store& store() { return fixture_.store(); }
  void Write(const std::string& path, const std::string& text) {
    fs::WriteFileAtomic(AT_FDCWD, fixture_.root() + "/" + path, text);
  }
  Lines Check(bool repair) {
    Lines lines;
    for (const Damage& damage : store().Check(repair, CancelToken())) {
      lines.push_back(damage.what + ": " + damage.reason +
                      (damage.dropped ? ", dropped" : ""));
    }
    std::ranges::sort(lines);
    return lines;
  }
  // An image of two blobs.
  ImageRecord AddImage(const std::string& seed) {
    ImageRecord image{store().content().Put("manifest " + seed),
                      oci::ImageId(store().content().Put("config " + seed)),
                      oci::Platform::Host(),
                      std::nullopt,
                      1,
                      1,
                      {},
                      {}};
    store().images().PutImage(image);
    store().images().SetName({oci::Repository::Parse("app"), seed,
                              image.manifest, image.manifest, std::nullopt,
                              false});
    return image;
  }
  LocalFixture fixture_;
};

TEST_F(CheckTest, AWholeStoreHasNothingToTell) {
  AddImage("a");
  store().content().Put("loose");
  store().snapshots().Begin()->Commit(
      oci::DiffId(oci::Digest::OfBytes("layer")), {});
  EXPECT_EQ(Check(false), Lines{});
  EXPECT_EQ(Check(true), Lines{});
  EXPECT_EQ(store().content().List().size(), 3u);
}

TEST_F(CheckTest, BrokenBlobsAreNamedAndDroppedOnlyWhenAsked) {
  const oci::Digest whole = store().content().Put("whole");
  const oci::Digest flipped = store().content().Put("hello");
  const oci::Digest cut = store().content().Put(std::string(5000, 'x'));
  Write("blobs/sha256/" + flipped.hex(), "hellO");
  Write("blobs/sha256/" + cut.hex(), std::string(4999, 'x'));
  for (const bool repair : {false, true}) {
    const std::string end = ": the content has another digest" +
                            std::string(repair ? ", dropped" : "");
    Lines expected = {"blob " + flipped.ToString() + end,
                      "blob " + cut.ToString() + end};
    std::ranges::sort(expected);
    EXPECT_EQ(Check(repair), expected);
  }
  EXPECT_EQ(Check(true), Lines{});
  EXPECT_EQ(store().content().List(), std::vector<oci::Digest>{whole});
}

TEST_F(CheckTest, BrokenLayersAreDropped) {
  const oci::DiffId whole(oci::Digest::OfBytes("a"));
  const oci::DiffId torn(oci::Digest::OfBytes("b"));
  const oci::DiffId bare(oci::Digest::OfBytes("c"));
  for (const oci::DiffId& id : {whole, torn, bare}) {
    store().snapshots().Begin()->Commit(id, {});
  }
  Write("layers/" + torn.hex() + "/meta", "");
  fs::RemoveTree(AT_FDCWD, fixture_.root() + "/layers/" + bare.hex() + "/fs");
  EXPECT_EQ(Check(true).size(), 2u);
  EXPECT_EQ(Check(true), Lines{});
  EXPECT_EQ(store().snapshots().List(), std::vector<oci::DiffId>{whole});
}

TEST_F(CheckTest, AnImageWithoutItsManifestOrConfigIsOnlyAName) {
  const ImageRecord a = AddImage("a");
  const ImageRecord b = AddImage("b");
  const ImageRecord c = AddImage("c");
  Write("blobs/sha256/" + a.manifest.hex(), "bitrot");
  store().content().Remove(b.id.digest());
  EXPECT_EQ(Check(true),
            (Lines{"blob " + a.manifest.ToString() +
                       ": the content has another digest, dropped",
                   "image app:a: its manifest is missing, dropped",
                   "image app:b: its config is missing, dropped"}));
  ASSERT_EQ(store().images().List().size(), 1u);
  EXPECT_EQ(store().images().List()[0].image.manifest, c.manifest);
}

TEST_F(CheckTest, CanBeCancelled) {
  store().content().Put("x");
  CancelToken cancel;
  cancel.Cancel();
  EXPECT_THROW(store().Check(true, cancel), Error);
  EXPECT_EQ(store().content().List().size(), 1u);
}

}  // namespace
}  // namespace imgbuild::store
