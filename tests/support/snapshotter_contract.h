// What every Snapshotter does. Needs the right to make whiteouts (character
// device 0:0) and opaque directories; skipped elsewhere.
#ifndef IMGBUILD_TESTS_SUPPORT_SNAPSHOTTER_CONTRACT_H_
#define IMGBUILD_TESTS_SUPPORT_SNAPSHOTTER_CONTRACT_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/store/snapshotter.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/layer_tree.h"
#include "support/store_fixture.h"

namespace imgbuild::store {

class SnapshotterContract : public testing::TestWithParam<StoreFactory> {
 protected:
  using Kind = Node::Kind;

  void SetUp() override {
    if (!CanWriteLayers()) {
      GTEST_SKIP() << "whiteouts and ownership need root";
    }
    fixture_ = GetParam().make();
  }
  Snapshotter& snapshots() { return fixture_->store().snapshots(); }

  static oci::DiffId Id(const std::string& text) {
    return oci::DiffId(oci::Digest::OfBytes(text));
  }
  // Unpacks a layer and returns its id.
  oci::DiffId Add(const std::string& name, const std::vector<Node>& nodes,
                  const layer::ExtractResult& result = {}) {
    const auto pending = snapshots().Begin();
    WriteNodes(pending->fd(), nodes, snapshots().opaque_xattr());
    pending->Commit(Id(name), result);
    return Id(name);
  }
  std::vector<std::string> See(const std::vector<oci::DiffId>& chain) {
    auto lines = Describe(*snapshots().View(chain));
    // A view that has grown answers the same, whatever was read in between.
    auto grown = snapshots().View({chain.begin(), chain.begin() + 1});
    for (size_t i = 1; grown && i < chain.size(); ++i) {
      Describe(*grown);
      grown = snapshots().ViewOn(*grown, chain[i]);
    }
    if (grown) {
      EXPECT_EQ(Describe(*grown), lines);
    }
    // The root's time is nobody's promise.
    EXPECT_TRUE(lines[0].starts_with(". dir ")) << lines[0];
    lines.erase(lines.begin());
    return lines;
  }
  using Lines = std::vector<std::string>;
  std::unique_ptr<StoreFixture> fixture_;
};

TEST_P(SnapshotterContract, ACommittedLayerIsPresent) {
  EXPECT_FALSE(snapshots().Has(Id("a")));
  EXPECT_TRUE(snapshots().List().empty());
  Add("a", {{Kind::kFile, "x", "1"}});
  EXPECT_TRUE(snapshots().Has(Id("a")));
  EXPECT_EQ(snapshots().List(), std::vector<oci::DiffId>{Id("a")});
}

TEST_P(SnapshotterContract, AnAbandonedLayerIsNot) {
  {
    const auto pending = snapshots().Begin();
    WriteNodes(pending->fd(), {{Kind::kFile, "x", "1"}}, "");
  }
  EXPECT_TRUE(snapshots().List().empty());
}

TEST_P(SnapshotterContract, TheFirstOfTwoCommitsStays) {
  Add("a", {{Kind::kFile, "x", "1"}});
  Add("a", {{Kind::kFile, "x", "1"}});
  EXPECT_EQ(snapshots().List().size(), 1u);
  EXPECT_EQ(See({Id("a")}), Lines{"x file 0644 0 1000 1"});
}

TEST_P(SnapshotterContract, NoLayersAreAnEmptyRoot) {
  const auto tree = snapshots().View({});
  EXPECT_EQ(tree->List(""), Lines{});
  EXPECT_EQ(tree->Lstat("")->mode, 0755u);
  EXPECT_FALSE(tree->Lstat("x").has_value());
}

TEST_P(SnapshotterContract, AMissingLayerIsNamed) {
  Add("a", {});
  try {
    snapshots().View({Id("a"), Id("b")});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "layer " + Id("b").ToString() + " is not unpacked in the store");
  }
  EXPECT_THROW(snapshots().Prepare({Id("b")}), Error);
}

TEST_P(SnapshotterContract, UpperLayersHideLowerOnes) {
  const auto low = Add("low", {{Kind::kFile, "etc/a", "low"},
                               {Kind::kFile, "etc/b", "low", 0600, 5},
                               {Kind::kFile, "gone/x", "low"},
                               {Kind::kFile, "was-file", "low"},
                               {Kind::kFile, "was-dir/x", "low"},
                               {Kind::kDirectory, "etc", "", 0700, 7, 10}});
  const auto high = Add("high", {{Kind::kFile, "etc/a", "high", 0755, 0, 2000},
                                 {Kind::kDirectory, "etc", "", 0711, 8, 20},
                                 {Kind::kWhiteout, "gone", ""},
                                 {Kind::kFile, "was-file/x", "high"},
                                 {Kind::kDirectory, "was-file", ""},
                                 {Kind::kSymlink, "was-dir", "etc"}});
  EXPECT_EQ(
      See({low, high}),
      (Lines{"etc dir 0711 8 20", "etc/a file 0755 0 2000 high",
             "etc/b file 0600 5 1000 low", "was-dir link 0 1000 -> etc",
             "was-file dir 0644 0 1000", "was-file/x file 0644 0 1000 high"}));
  EXPECT_EQ(
      See({high, low}),
      (Lines{
          "etc dir 0700 7 10", "etc/a file 0644 0 1000 low",
          "etc/b file 0600 5 1000 low",
          "gone dir 0755 0 " +
              std::to_string(snapshots().View({low})->Lstat("gone")->mtime_s),
          "gone/x file 0644 0 1000 low",
          "was-dir dir 0755 0 " +
              std::to_string(
                  snapshots().View({low})->Lstat("was-dir")->mtime_s),
          "was-dir/x file 0644 0 1000 low", "was-file file 0644 0 1000 low"}));
}

TEST_P(SnapshotterContract, OpaqueDirectoriesShowTheirOwnContentOnly) {
  const auto low = Add("low", {{Kind::kFile, "d/a", "low"},
                               {Kind::kFile, "d/sub/b", "low"},
                               {Kind::kDirectory, "d/sub"},
                               {Kind::kDirectory, "d"}});
  const auto mid = Add("mid", {{Kind::kFile, "d/c", "mid"},
                               {Kind::kOpaque, "d"},
                               {Kind::kDirectory, "d", "", 0750}});
  const auto high = Add("high", {{Kind::kFile, "d/sub/e", "high"},
                                 {Kind::kDirectory, "d/sub"},
                                 {Kind::kDirectory, "d"}});
  EXPECT_EQ(See({low, mid}),
            (Lines{"d dir 0750 0 1000", "d/c file 0644 0 1000 mid"}));
  EXPECT_EQ(See({low, mid, high}),
            (Lines{"d dir 0644 0 1000", "d/c file 0644 0 1000 mid",
                   "d/sub dir 0644 0 1000", "d/sub/e file 0644 0 1000 high"}));
}

TEST_P(SnapshotterContract, LinksAreNeverFollowed) {
  const auto low = Add("low", {{Kind::kFile, "real/x", "x"},
                               {Kind::kSymlink, "link", "real"},
                               {Kind::kSymlink, "abs", "/etc/passwd"}});
  const auto tree = snapshots().View({low});
  EXPECT_FALSE(tree->Lstat("link/x").has_value());
  EXPECT_EQ(tree->ReadLink("link"), "real");
  EXPECT_EQ(tree->ReadLink("abs"), "/etc/passwd");
  EXPECT_THROW(tree->List("link"), Error);
  EXPECT_EQ(ResolveInTree(*tree, "link/x", true), "real/x");
}

TEST_P(SnapshotterContract, HardLinksAreOneFileWithinALayerOnly) {
  const auto low =
      Add("low", {{Kind::kFile, "a", "same"}, {Kind::kHardLink, "b", "a"}});
  const auto high = Add("high", {{Kind::kFile, "c", "same"}});
  EXPECT_EQ(See({low, high}),
            (Lines{"a file 0644 0 1000 same", "b file 0644 0 1000 same =a",
                   "c file 0644 0 1000 same"}));
}

TEST_P(SnapshotterContract, AnImpliedDirectoryLooksLikeTheOneBelow) {
  const auto low = Add("low", {{Kind::kDirectory, "tmp", "", 01777, 3, 10},
                               {Kind::kDirectory, "tmp/in", "", 0700, 4, 20}});
  layer::ExtractResult result;
  result.implied_directories = {"new", "tmp", "tmp/in"};
  const auto high =
      Add("high", {{Kind::kFile, "tmp/in/f", "f"}, {Kind::kFile, "new/f", "f"}},
          result);
  EXPECT_EQ(See({low, high}),
            (Lines{"new dir 0755 0 0", "new/f file 0644 0 1000 f",
                   "tmp dir 1777 3 10", "tmp/in dir 0700 4 20",
                   "tmp/in/f file 0644 0 1000 f"}));
  EXPECT_EQ(See({high})[0], "new dir 0755 0 0");
  // Another stack of the same layer, and the first one again.
  const auto other = Add("other", {{Kind::kDirectory, "tmp", "", 0711, 9, 30}});
  for (int i = 0; i < 2; ++i) {
    snapshots().Prepare({other, high});
    snapshots().Prepare({low, high});
    EXPECT_EQ(See({other, high})[2], "tmp dir 0711 9 30");
    EXPECT_EQ(See({low, high})[2], "tmp dir 1777 3 10");
  }
}

TEST_P(SnapshotterContract, AnImpliedDirectoryOverAFileIsADirectory) {
  const auto low = Add("low", {{Kind::kFile, "a", "file"}});
  layer::ExtractResult result;
  result.implied_directories = {"a"};
  const auto high = Add("high", {{Kind::kFile, "a/f", "f"}}, result);
  EXPECT_EQ(See({low, high}),
            (Lines{"a dir 0755 0 0", "a/f file 0644 0 1000 f"}));
}

TEST_P(SnapshotterContract, ALinkToALowerFileIsThatFile) {
  const auto low = Add("low", {{Kind::kFile, "bin/real", "program", 0755, 6},
                               {Kind::kSymlink, "sbin", "bin"}});
  layer::ExtractResult result;
  result.implied_directories = {"bin"};
  result.lower_links = {{"bin/alias", "bin/real"},
                        {"opt/deep/alias", "sbin/real"}};
  const auto high = Add("high", {{Kind::kFile, "bin/other", "o"}}, result);
  const auto mtime = snapshots().View({low})->Lstat("bin")->mtime_s;
  EXPECT_EQ(See({low, high}),
            (Lines{"bin dir 0755 0 " + std::to_string(mtime),
                   "bin/alias file 0755 6 1000 program",
                   "bin/other file 0644 0 1000 o",
                   "bin/real file 0755 6 1000 program =bin/alias",
                   "opt dir 0755 0 0", "opt/deep dir 0755 0 0",
                   "opt/deep/alias file 0755 6 1000 program =bin/alias",
                   "sbin link 0 1000 -> bin"}));
  // A link to the link.
  layer::ExtractResult again;
  again.lower_links = {{"top", "opt/deep/alias"}};
  const auto top = Add("top", {{Kind::kWhiteout, "bin", ""}}, again);
  EXPECT_EQ(See({low, high, top}).back(),
            "top file 0755 6 1000 program =opt/"
            "deep/alias");
}

TEST_P(SnapshotterContract, ALinkToNothingIsAnError) {
  const auto low = Add("low", {{Kind::kDirectory, "d"}});
  layer::ExtractResult result;
  result.lower_links = {{"a", "missing"}};
  const auto high = Add("high", {}, result);
  EXPECT_THROW(snapshots().View({low, high}), Error);
  EXPECT_THROW(snapshots().Prepare({low, high}), Error);
}

TEST_P(SnapshotterContract, AnOpaqueRootHidesEverythingBelow) {
  const auto low = Add("low", {{Kind::kFile, "a", "low"}});
  layer::ExtractResult result;
  result.opaque_root = true;
  const auto high = Add("high", {{Kind::kFile, "b", "high"}}, result);
  EXPECT_EQ(See({low, high}), Lines{"b file 0644 0 1000 high"});
}

TEST_P(SnapshotterContract, ALayerMayComeTwice) {
  const auto a = Add("a", {{Kind::kFile, "x", "a"}, {Kind::kFile, "y", "a"}});
  const auto b =
      Add("b", {{Kind::kFile, "x", "b"}, {Kind::kWhiteout, "y", ""}});
  EXPECT_EQ(See({a, b, a}),
            (Lines{"x file 0644 0 1000 a", "y file 0644 0 1000 a"}));
  const auto active = snapshots().Prepare({a, b, a});
  EXPECT_GE(active->mount().lower.size(), 2u);
}

TEST_P(SnapshotterContract, TheRootIsTheTopmostOneThatALayerMentions) {
  layer::ExtractResult with_root;
  with_root.has_root_entry = true;
  const auto pending = snapshots().Begin();
  ASSERT_EQ(::fchmod(pending->fd(), 0711), 0);
  ASSERT_EQ(::fchown(pending->fd(), 3, 4), 0);
  pending->Commit(Id("low"), with_root);
  const auto high = Add("high", {{Kind::kFile, "x", "x"}});
  const auto tree = snapshots().View({Id("low"), high});
  EXPECT_EQ(tree->Lstat("")->mode, 0711u);
  EXPECT_EQ(tree->Lstat("")->uid, 3u);
}

TEST_P(SnapshotterContract, AnActiveSaysWhatToMount) {
  const auto low = Add("low", {{Kind::kFile, "x", "low"}});
  const auto high = Add("high", {{Kind::kFile, "y", "high"}});
  const auto active = snapshots().Prepare({low, high});
  const OverlayMount& mount = active->mount();
  ASSERT_EQ(mount.lower.size(), 2u);
  // The topmost first.
  EXPECT_TRUE(fs::LstatIfExists(AT_FDCWD, mount.lower[0] + "/y").has_value());
  EXPECT_TRUE(fs::LstatIfExists(AT_FDCWD, mount.lower[1] + "/x").has_value());
  EXPECT_TRUE(S_ISDIR(fs::LstatIfExists(AT_FDCWD, mount.work)->st_mode));
  EXPECT_EQ(fs::LstatIfExists(AT_FDCWD, mount.upper)->st_ino,
            fs::Fstat(active->upper_fd()).st_ino);
  EXPECT_EQ(active->lower()->List(""), (Lines{"x", "y"}));
  EXPECT_TRUE(fs::ListDir(active->upper_fd()).empty());
}

TEST_P(SnapshotterContract, AnActiveOnNothingMountsAnEmptyDirectory) {
  const auto active = snapshots().Prepare({});
  ASSERT_EQ(active->mount().lower.size(), 1u);
  EXPECT_TRUE(fs::ListDir(fs::OpenDir(AT_FDCWD, active->mount().lower[0]).get())
                  .empty());
}

TEST_P(SnapshotterContract, CommitMakesALayerOfTheUpperDirectory) {
  const auto low = Add("low", {{Kind::kFile, "a", "low"}});
  {
    const auto active = snapshots().Prepare({low});
    WriteNodes(active->upper_fd(),
               {{Kind::kFile, "b", "new"}, {Kind::kWhiteout, "a", ""}},
               snapshots().opaque_xattr());
    active->Commit(Id("step"));
  }
  EXPECT_TRUE(snapshots().Has(Id("step")));
  EXPECT_EQ(See({low, Id("step")}), Lines{"b file 0644 0 1000 new"});
}

TEST_P(SnapshotterContract, CommitWithAnEpochLeavesWhatTheTarWouldHold) {
  const auto low = Add("low", {{Kind::kDirectory, "same", "", 0755, 0, 10},
                               {Kind::kDirectory, "same/in", "", 0755, 0, 11},
                               {Kind::kFile, "kept", "kept"}});
  {
    const auto active = snapshots().Prepare({low});
    WriteNodes(active->upper_fd(),
               {{Kind::kFile, "late", "x", 0644, 0, 5000},
                {Kind::kFile, "early", "x", 0644, 0, 50},
                // Overlay made them on the way to something that went again.
                {Kind::kDirectory, "same/in", "", 0755, 0, 6000},
                {Kind::kDirectory, "same", "", 0755, 0, 6000},
                {Kind::kWhiteout, "never-was", ""},
                {Kind::kDirectory, "new", "", 0755, 0, 7000},
                {Kind::kOpaque, "new", ""}},
               snapshots().opaque_xattr());
    active->Commit(Id("step"), 100);
  }
  EXPECT_EQ(See({low, Id("step")}),
            (Lines{"early file 0644 0 50 x", "kept file 0644 0 1000 kept",
                   "late file 0644 0 100 x", "new dir 0755 0 100",
                   "same dir 0755 0 10", "same/in dir 0755 0 11"}));
}

TEST_P(SnapshotterContract, AnAbandonedActiveLeavesNothing) {
  {
    const auto active = snapshots().Prepare({});
    WriteNodes(active->upper_fd(), {{Kind::kFile, "b", "new"}}, "");
  }
  EXPECT_TRUE(snapshots().List().empty());
}

TEST_P(SnapshotterContract, PrepareInKeepsItsDirectory) {
  const auto low = Add("low", {{Kind::kFile, "a", "low"}});
  const fs::TempDir dir = fixture_->store().NewTemp("container-");
  const std::string path = dir.path();
  {
    const auto active = snapshots().PrepareIn({low}, path);
    WriteNodes(active->upper_fd(), {{Kind::kFile, "b", "new"}}, "");
    EXPECT_TRUE(active->mount().upper.starts_with(path + "/"));
  }
  const auto again = snapshots().PrepareIn({low}, path);
  EXPECT_EQ(fs::ListDir(again->upper_fd()), Lines{"b"});
}

TEST_P(SnapshotterContract, RemoveTakesALayerAwayUnlessItIsInUse) {
  const auto a = Add("a", {{Kind::kFile, "x", "1"}});
  {
    const auto view = snapshots().View({a});
    EXPECT_FALSE(snapshots().Remove(a));
    EXPECT_EQ(view->List(""), Lines{"x"});
  }
  {
    const auto active = snapshots().Prepare({a});
    EXPECT_FALSE(snapshots().Remove(a));
  }
  EXPECT_TRUE(snapshots().Remove(a));
  EXPECT_FALSE(snapshots().Has(a));
  EXPECT_TRUE(snapshots().Remove(a));
  EXPECT_TRUE(snapshots().List().empty());
}

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_SNAPSHOTTER_CONTRACT_H_
