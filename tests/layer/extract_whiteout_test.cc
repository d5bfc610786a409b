#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/util/error.h"

#include "layer/layer_test_util.h"

namespace imgbuild::layer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WhiteoutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!IsPrivileged()) GTEST_SKIP() << "needs root for whiteout devices";
  }
  static ExtractOptions Form(WhiteoutForm form) {
    ExtractOptions options;
    options.whiteouts = form;
    return options;
  }
  Sandbox box;
};

TEST_F(WhiteoutTest, OverlayFormIsADeviceAndAnAttribute) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .Dir("d/")
                                               .File("d/.wh.gone", "")
                                               .Dir("o/", 0700)
                                               .File("o/.wh..wh..opq", "")
                                               .File("o/new", "x")
                                               .Finish());
  EXPECT_THAT(box.Tree(), ElementsAre("d 755 0:0 d", "w d/gone",
                                      "d 700 0:0 o !", "f 644 0:0 o/new =x"));
  EXPECT_EQ(box.Xattrs("o").at("trusted.overlay.opaque"), "y");
  EXPECT_FALSE(result.opaque_root);
  EXPECT_THAT(result.implied_directories, IsEmpty());
}

TEST_F(WhiteoutTest, TheAttributeHasTheNameThatTheCallerWants) {
  ExtractOptions options;
  options.opaque_xattr = "user.overlay.opaque";
  box.Extract(TarBuilder().Dir("o/").File("o/.wh..wh..opq", "").Finish(),
              options);
  EXPECT_EQ(box.Xattrs("o").at("user.overlay.opaque"), "y");
  EXPECT_FALSE(box.Xattrs("o").contains("trusted.overlay.opaque"));
}

TEST_F(WhiteoutTest, DirectoriesOfWhiteoutsAreImplied) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .File("a/b/.wh.gone", "")
                                               .File("c/.wh..wh..opq", "")
                                               .Finish());
  EXPECT_THAT(result.implied_directories, ElementsAre("a", "a/b", "c"));
  EXPECT_THAT(box.Tree(), ElementsAre("d 755 0:0 a", "d 755 0:0 a/b",
                                      "w a/b/gone", "d 755 0:0 c !"));
}

TEST_F(WhiteoutTest, OpaqueRootIsReported) {
  const ExtractResult result = box.Extract(
      TarBuilder().File(".wh..wh..opq", "").File("d/f", "x").Finish());
  EXPECT_TRUE(result.opaque_root);
  EXPECT_THAT(result.implied_directories, IsEmpty());
}

// A whiteout, then the same name as something else.
TEST_F(WhiteoutTest, ANameThatComesBackReplacesItsWhiteout) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .File(".wh.file", "")
                                               .File(".wh.dir", "")
                                               .File(".wh.link", "")
                                               .File(".wh.hard", "")
                                               .File(".wh.fifo", "")
                                               .File(".wh.implied", "")
                                               .File("file", "new")
                                               .Dir("dir/", 0711)
                                               .File("dir/f", "x")
                                               .Symlink("link", "file")
                                               .HardLink("hard", "file")
                                               .Node('6', "fifo", 0, 0)
                                               .File("implied/a/f", "x")
                                               .Finish());
  // A directory that replaces what was below does not show what was in it.
  EXPECT_THAT(
      box.Tree(),
      ElementsAre("d 711 0:0 dir !", "f 644 0:0 dir/f =x", "p 600 0:0 fifo",
                  "f 644 0:0 file =new #2", "f 644 0:0 hard =new #2",
                  "d 755 0:0 implied !", "d 755 0:0 implied/a",
                  "f 644 0:0 implied/a/f =x", "l link -> file"));
  EXPECT_THAT(result.implied_directories, IsEmpty());
}

// The other order means the same: a whiteout speaks of the layers below only.
TEST_F(WhiteoutTest, AWhiteoutDoesNotRemoveWhatItsOwnLayerHas) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .File("file", "new")
                                               .Dir("dir/", 0711)
                                               .File("dir/f", "x")
                                               .Symlink("link", "dir")
                                               .File("implied/a/f", "x")
                                               .File(".wh.dir", "")
                                               .File(".wh.file", "")
                                               .File(".wh.implied", "")
                                               .File(".wh.link", "")
                                               .Finish());
  EXPECT_THAT(box.Tree(),
              ElementsAre("d 711 0:0 dir !", "f 644 0:0 dir/f =x",
                          "f 644 0:0 file =new", "d 755 0:0 implied !",
                          "d 755 0:0 implied/a", "f 644 0:0 implied/a/f =x",
                          "l link -> dir"));
  EXPECT_THAT(result.implied_directories, IsEmpty());
}

TEST_F(WhiteoutTest, AufsFilesAreIgnored) {
  box.Extract(TarBuilder()
                  .File(".wh..wh.aufs", "")
                  .Dir(".wh..wh.orph/")
                  .Dir(".wh..wh.plnk/")
                  .File(".wh..wh.plnk/123.456", "data")
                  .File("d/.wh..wh.x", "data")
                  .File("d/f", "kept")
                  .Finish());
  EXPECT_THAT(box.Tree(), ElementsAre("d 755 0:0 d", "f 644 0:0 d/f =kept"));
}

TEST_F(WhiteoutTest, AnOpaqueMarkerOnALinkReachesADirectoryInTheRoot) {
  box.Extract(TarBuilder()
                  .Dir("real/")
                  .Symlink("l", "/real")
                  .File("l/.wh..wh..opq", "")
                  .Finish());
  EXPECT_THAT(box.Tree(), ElementsAre("l l -> /real", "d 755 0:0 real !"));
}

TEST_F(WhiteoutTest, ALinkToAHiddenTargetIsALinkBelow) {
  // The device that stands for the hidden name must not get a second name.
  const ExtractResult result = box.Extract(
      TarBuilder().File(".wh.old", "").HardLink("new", "old").Finish());
  ASSERT_EQ(result.lower_links.size(), 1u);
  EXPECT_EQ(result.lower_links[0].path, "new");
  EXPECT_EQ(result.lower_links[0].target, "old");
  EXPECT_THAT(box.Tree(), ElementsAre("w old"));
}

TEST_F(WhiteoutTest, VerbatimNamesAreOrdinary) {
  box.Extract(TarBuilder()
                  .File("d/.wh.x", "data")
                  .File("d/.wh..wh..opq", "marker")
                  .File(".wh..", "odd")
                  .Finish(),
              Form(WhiteoutForm::kVerbatim));
  EXPECT_EQ(box.Read("d/.wh.x"), "data");
  EXPECT_EQ(box.Read("d/.wh..wh..opq"), "marker");
  EXPECT_EQ(box.Read(".wh.."), "odd");
  EXPECT_THAT(box.Tree(), ElementsAre("f 644 0:0 .wh.. =odd", "d 755 0:0 d",
                                      "f 644 0:0 d/.wh..wh..opq =marker",
                                      "f 644 0:0 d/.wh.x =data"));
}

class ApplyTest : public WhiteoutTest {
 protected:
  void SetUp() override {
    WhiteoutTest::SetUp();
    if (IsSkipped()) return;
    box.Extract(TarBuilder()
                    .Dir("d/")
                    .Dir("d/sub/")
                    .File("d/sub/f", "old")
                    .File("d/a", "old")
                    .File("d/b", "old")
                    .Symlink("d/out", box.outside_path())
                    .File("e/f", "old")
                    .Finish(),
                Form(WhiteoutForm::kApply));
  }
  void Apply(const TarBuilder& tar) {
    box.Extract(tar.Finish(), Form(WhiteoutForm::kApply));
    box.ExpectOutsideUntouched();
  }
};

TEST_F(ApplyTest, RemovesFilesLinksAndTrees) {
  Apply(TarBuilder()
            .File("d/.wh.sub", "")
            .File("d/.wh.a", "")
            .File("d/.wh.out", "")
            .File("d/.wh.absent", "")
            .File("absent/.wh.x", ""));
  EXPECT_THAT(box.Tree(), ElementsAre("d 755 0:0 d", "f 644 0:0 d/b =old",
                                      "d 755 0:0 e", "f 644 0:0 e/f =old"));
}

TEST_F(ApplyTest, OpaqueRemovesAllButTheNew) {
  Apply(TarBuilder()
            .Dir("d/")
            .File("d/a", "new")
            .File("d/sub/g", "new")
            .File("d/.wh..wh..opq", ""));
  EXPECT_THAT(box.Tree(),
              ElementsAre("d 755 0:0 d", "f 644 0:0 d/a =new",
                          "d 755 0:0 d/sub", "f 644 0:0 d/sub/g =new",
                          "d 755 0:0 e", "f 644 0:0 e/f =old"));
}

TEST_F(ApplyTest, OpaqueRootRemovesAllButTheNew) {
  Apply(TarBuilder().File("d/sub/g", "new").File(".wh..wh..opq", ""));
  EXPECT_THAT(box.Tree(), ElementsAre("d 755 0:0 d", "d 755 0:0 d/sub",
                                      "f 644 0:0 d/sub/g =new"));
}

TEST_F(ApplyTest, AWhiteoutOfANewNameRemovesTheOldContentsOnly) {
  Apply(TarBuilder()
            .Dir("d/")
            .Dir("d/sub/")
            .File("d/sub/new", "new")
            .File("d/.wh.sub", "")
            .File("d/a", "new")
            .File("d/.wh.a", ""));
  EXPECT_THAT(
      box.Tree(),
      ElementsAre("d 755 0:0 d", "f 644 0:0 d/a =new", "f 644 0:0 d/b =old",
                  "l d/out -> " + box.outside_path(), "d 755 0:0 d/sub",
                  "f 644 0:0 d/sub/new =new", "d 755 0:0 e",
                  "f 644 0:0 e/f =old"));
}

TEST_F(ApplyTest, ReplacesAcrossTypes) {
  Apply(
      TarBuilder().File("d", "now a file").Dir("e/", 0700).Symlink("e/f", "x"));
  EXPECT_THAT(box.Tree(), ElementsAre("f 644 0:0 d =now a file", "d 700 0:0 e",
                                      "l e/f -> x"));
}

TEST_F(ApplyTest, HardLinksReachWhatIsThere) {
  Apply(TarBuilder().HardLink("linked", "d/a"));
  EXPECT_EQ(box.Lstat("linked").st_ino, box.Lstat("d/a").st_ino);
}

}  // namespace
}  // namespace imgbuild::layer
