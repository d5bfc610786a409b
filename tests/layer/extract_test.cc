#include "imgbuild/layer/extract.h"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "imgbuild/util/error.h"

#include "layer/layer_test_util.h"

// What an honest archive becomes, odd but legal ones too. Hostile ones are in
// extract_hostile_test.cc, whiteouts in extract_whiteout_test.cc.
namespace imgbuild::layer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ExtractTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!IsPrivileged()) GTEST_SKIP() << "needs root for owners and devices";
  }
  Sandbox box;
};

TEST_F(ExtractTest, PlacesEveryTypeOfEntry) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .Owner(7, 8)
                                               .Dir("d/", 01777)
                                               .File("d/f", "data", 0640)
                                               .File("d/suid", "x", 06755)
                                               .File("d/none", "", 0)
                                               .Symlink("d/l", "../../x/./y")
                                               .HardLink("d/h", "d/f")
                                               .Node('3', "d/c", 1, 3, 0666)
                                               .Node('4', "d/b", 8, 1, 0660)
                                               .Node('6', "d/p", 0, 0, 0604)
                                               .Finish());
  EXPECT_THAT(
      box.Tree(),
      ElementsAre("d 1777 7:8 d", "b 660 7:8 d/b 8,1", "c 666 7:8 d/c 1,3",
                  "f 640 7:8 d/f =data #2", "f 640 7:8 d/h =data #2",
                  "l d/l -> ../../x/./y", "f 0 7:8 d/none =", "p 604 7:8 d/p",
                  "f 6755 7:8 d/suid =x"));
  EXPECT_EQ(result.entries, 9u);
  EXPECT_EQ(result.bytes, 5u);
  EXPECT_THAT(result.implied_directories, IsEmpty());
  EXPECT_THAT(result.lower_links, IsEmpty());
  const struct ::stat link = box.Lstat("d/l");
  EXPECT_EQ(link.st_uid, 7u);
  EXPECT_EQ(link.st_gid, 8u);
}

TEST_F(ExtractTest, SetsTimesOfEverythingDirectoriesLast) {
  box.Extract(TarBuilder()
                  .Time(100)
                  .Dir("d/")
                  .Dir("d/e/")
                  .Time(200)
                  .File("d/e/f", "x")
                  .Symlink("d/e/l", "f")
                  .Node('6', "d/e/p", 0, 0)
                  .Pax({{"mtime", "300.25"}})
                  .File("d/later", "x")
                  .Finish());
  EXPECT_EQ(box.Lstat("d").st_mtime, 100);
  EXPECT_EQ(box.Lstat("d/e").st_mtime, 100);
  EXPECT_EQ(box.Lstat("d/e/f").st_mtime, 200);
  EXPECT_EQ(box.Lstat("d/e/l").st_mtime, 200);
  EXPECT_EQ(box.Lstat("d/e/p").st_mtime, 200);
  EXPECT_EQ(box.Lstat("d/later").st_mtim.tv_sec, 300);
  EXPECT_EQ(box.Lstat("d/later").st_mtim.tv_nsec, 250'000'000);
}

TEST_F(ExtractTest, WritesBigFilesAndHoles) {
  std::string big(5u << 20, '\0');
  for (size_t i = 0; i < big.size(); i += 997) big[i] = static_cast<char>(i);
  std::string map = "1\n1000000\n3\n";
  map.resize(512, '\0');
  box.Extract(TarBuilder()
                  .File("big", big)
                  .Pax({{"GNU.sparse.major", "1"},
                        {"GNU.sparse.minor", "0"},
                        {"GNU.sparse.name", "sparse"},
                        {"GNU.sparse.realsize", "50000000"}})
                  .File("s", map + "abc")
                  .Finish());
  EXPECT_EQ(box.Read("big"), big);
  std::string sparse(50'000'000, '\0');
  sparse.replace(1'000'000, 3, "abc");
  EXPECT_EQ(box.Read("sparse"), sparse);
  EXPECT_LT(box.Lstat("sparse").st_blocks * 512, 1'000'000);
}

TEST_F(ExtractTest, SetsXattrsAfterTheOwner) {
  // A capability is lost when the owner changes afterwards.
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  box.Extract(TarBuilder()
                  .Owner(5, 5)
                  .Pax({{"SCHILY.xattr.security.capability", capability},
                        {"SCHILY.xattr.user.note", "file"}})
                  .File("ping", "x", 0755)
                  .Pax({{"SCHILY.xattr.user.note", "dir"}})
                  .Dir("d/")
                  .Finish());
  EXPECT_EQ(box.Xattrs("ping").at("security.capability"), capability);
  EXPECT_EQ(box.Xattrs("ping").at("user.note"), "file");
  EXPECT_EQ(box.Xattrs("d").at("user.note"), "dir");
}

TEST_F(ExtractTest, AttributesThatNothingTakesAreLeftOut) {
  box.Extract(TarBuilder()
                  .Pax({{"SCHILY.xattr.user.note", "not on a link"}})
                  .Symlink("l", "x")
                  .Pax({{"SCHILY.xattr.nonsense.key", "x"}})
                  .File("f", "x")
                  .Finish());
  EXPECT_TRUE(box.Xattrs("l").empty());
  EXPECT_TRUE(box.Xattrs("f").empty());
}

TEST_F(ExtractTest, AnUmaskDoesNotShow) {
  const mode_t before = ::umask(077);
  box.Extract(
      TarBuilder().File("implied/f", "x", 0666).Dir("d/", 0777).Finish());
  ::umask(before);
  EXPECT_THAT(box.Tree(), ElementsAre("d 777 0:0 d", "d 755 0:0 implied",
                                      "f 666 0:0 implied/f =x"));
}

// What a new file has by itself is left alone, so it must be what is wanted.
TEST_F(ExtractTest, WhatADirectoryHandsDownDoesNotShow) {
  box.Extract(TarBuilder()
                  .Owner(0, 50)
                  .Dir("d/", 02775)
                  .Owner(0, 0)
                  .File("d/f", "", 0644)
                  .File("d/suid", "", 04755)
                  .File("d/closed", "", 0)
                  .Dir("d/e/", 0755)
                  .File("d/e/f", "", 0600)
                  .Owner(0, 50)
                  .File("d/sgid", "", 02755)
                  .Finish());
  EXPECT_THAT(
      box.Tree(),
      ElementsAre("d 2775 0:50 d", "f 0 0:0 d/closed =", "d 755 0:0 d/e",
                  "f 600 0:0 d/e/f =", "f 644 0:0 d/f =",
                  "f 2755 0:50 d/sgid =", "f 4755 0:0 d/suid ="));
}

TEST_F(ExtractTest, ReportsImpliedDirectories) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .File("a/b/c/f", "x")
                                               .File("x/y/f", "x")
                                               .Dir("x/", 0700)
                                               .Finish());
  EXPECT_THAT(result.implied_directories,
              ElementsAre("a", "a/b", "a/b/c", "x/y"));
  EXPECT_THAT(box.Tree(),
              ElementsAre("d 755 0:0 a", "d 755 0:0 a/b", "d 755 0:0 a/b/c",
                          "f 644 0:0 a/b/c/f =x", "d 700 0:0 x",
                          "d 755 0:0 x/y", "f 644 0:0 x/y/f =x"));
}

TEST_F(ExtractTest, ImpliedDirectoriesHaveTheirRealPath) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .Dir("usr/")
                                               .Dir("usr/lib/")
                                               .Symlink("lib", "usr/lib")
                                               .Symlink("run", "/var/run")
                                               .File("lib/x/f", "1")
                                               .File("run/p", "2")
                                               .Finish());
  EXPECT_THAT(result.implied_directories,
              ElementsAre("usr/lib/x", "var", "var/run"));
  EXPECT_EQ(box.Read("usr/lib/x/f"), "1");
  EXPECT_EQ(box.Read("var/run/p"), "2");
}

TEST_F(ExtractTest, AnImpliedDirectoryThatIsReplacedIsNotReported) {
  const ExtractResult result =
      box.Extract(TarBuilder().File("a/f", "x").File("a", "file").Finish());
  EXPECT_THAT(result.implied_directories, IsEmpty());
  EXPECT_THAT(box.Tree(), ElementsAre("f 644 0:0 a =file"));
}

TEST_F(ExtractTest, RootEntrySetsTheRoot) {
  EXPECT_FALSE(box.Extract(TarBuilder().File("f", "").Finish()).has_root_entry);
  EXPECT_TRUE(box.Extract(TarBuilder()
                              .Time(77)
                              .Owner(3, 4)
                              .Dir("./", 0750)
                              .File("./f", "x")
                              .Finish())
                  .has_root_entry);
  const struct ::stat st = fs::Fstat(box.root());
  EXPECT_EQ(st.st_mode & 07777, 0750u);
  EXPECT_EQ(st.st_uid, 3u);
  EXPECT_EQ(st.st_mtime, 77);
  EXPECT_EQ(box.Read("f"), "x");
}

TEST_F(ExtractTest, VerbatimLeavesTheRootAlone) {
  ExtractOptions options;
  options.whiteouts = WhiteoutForm::kVerbatim;
  box.Extract(TarBuilder().Owner(3, 4).Dir("./", 0700).Finish(), options);
  EXPECT_EQ(fs::Fstat(box.root()).st_mode & 07777, 0755u);
  EXPECT_EQ(fs::Fstat(box.root()).st_uid, 0u);
}

TEST_F(ExtractTest, TheLaterEntryWins) {
  box.Extract(TarBuilder()
                  .File("a", "one")
                  .File("a", "two", 0600)
                  .Dir("d/", 0700)
                  .File("d/kept", "x")
                  .Dir("d/", 0711)
                  .File("f", "x")
                  .Dir("f/")
                  .File("f/inside", "x")
                  .Dir("g/")
                  .File("g/gone", "x")
                  .Symlink("g", "d")
                  .Symlink("s", "a")
                  .File("s", "no longer a link")
                  .Node('6', "p", 0, 0)
                  .Symlink("p", "a")
                  .Finish());
  EXPECT_THAT(
      box.Tree(),
      ElementsAre("f 600 0:0 a =two", "d 711 0:0 d", "f 644 0:0 d/kept =x",
                  "d 755 0:0 f", "f 644 0:0 f/inside =x", "l g -> d",
                  "l p -> a", "f 644 0:0 s =no longer a link"));
}

TEST_F(ExtractTest, AReplacedFileDoesNotChangeItsOtherNames) {
  box.Extract(TarBuilder()
                  .File("a", "one")
                  .HardLink("b", "a")
                  .File("a", "two")
                  .Finish());
  EXPECT_EQ(box.Read("a"), "two");
  EXPECT_EQ(box.Read("b"), "one");
}

TEST_F(ExtractTest, TimesFollowTheDirectoryNotTheName) {
  box.Extract(TarBuilder()
                  .Time(100)
                  .Dir("d/")
                  .Time(200)
                  .File("d", "now a file")
                  .Time(300)
                  .Dir("e/")
                  .Symlink("e", "/f")
                  .Time(400)
                  .Dir("f/")
                  .Finish());
  EXPECT_EQ(box.Lstat("d").st_mtime, 200);
  EXPECT_EQ(box.Lstat("e").st_mtime, 300);
  EXPECT_EQ(box.Lstat("f").st_mtime, 400);
}

// The names of directories that are open in the cache lead elsewhere once a
// link on the way is replaced.
TEST_F(ExtractTest, AReplacedParentIsLookedUpAgain) {
  box.Extract(TarBuilder()
                  .Dir("one/")
                  .Dir("two/")
                  .Symlink("l", "one")
                  .File("l/f", "1")
                  .Symlink("l", "two")
                  .File("l/f", "2")
                  .Dir("d/")
                  .File("d/f", "3")
                  .Symlink("d", "one")
                  .File("d/g", "4")
                  .Finish());
  EXPECT_EQ(box.Read("one/f"), "1");
  EXPECT_EQ(box.Read("two/f"), "2");
  EXPECT_EQ(box.Read("one/g"), "4");
}

TEST_F(ExtractTest, HardLinksToLowerLayersAreReported) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .HardLink("b", "/etc/below")
                                               .HardLink("a", "./b")
                                               .File("c", "x")
                                               .HardLink("c", "lower/c")
                                               .Finish());
  ASSERT_EQ(result.lower_links.size(), 3u);
  EXPECT_EQ(result.lower_links[0].path, "a");
  EXPECT_EQ(result.lower_links[0].target, "etc/below");
  EXPECT_EQ(result.lower_links[1].path, "b");
  EXPECT_EQ(result.lower_links[1].target, "etc/below");
  EXPECT_EQ(result.lower_links[2].path, "c");
  EXPECT_EQ(result.lower_links[2].target, "lower/c");
  EXPECT_THAT(box.Tree(), IsEmpty());
}

TEST_F(ExtractTest, AHardLinkMayComeBeforeItsTarget) {
  const ExtractResult result = box.Extract(TarBuilder()
                                               .HardLink("a", "z")
                                               .HardLink("b", "z")
                                               .File("b", "an entry of its own")
                                               .File("z", "target")
                                               .Finish());
  EXPECT_THAT(result.lower_links, IsEmpty());
  EXPECT_THAT(box.Tree(), ElementsAre("f 644 0:0 a =target #2",
                                      "f 644 0:0 b =an entry of its own",
                                      "f 644 0:0 z =target #2"));
}

TEST_F(ExtractTest, AMissingTargetIsAnErrorWithoutLayersBelow) {
  for (const auto form : {WhiteoutForm::kApply, WhiteoutForm::kVerbatim}) {
    ExtractOptions options;
    options.whiteouts = form;
    EXPECT_EQ(
        box.ExtractError(TarBuilder().HardLink("a", "no").Finish(), options),
        "\"a\": hard link to \"no\", which is not there");
  }
}

TEST_F(ExtractTest, ALinkToItselfChangesNothing) {
  box.Extract(TarBuilder()
                  .File("a", "x")
                  .HardLink("a", "a")
                  .HardLink("a", "/a")
                  .Finish());
  EXPECT_EQ(box.Read("a"), "x");
  box.Extract(TarBuilder()
                  .File("b", "x")
                  .HardLink("c", "b")
                  .HardLink("b", "c")
                  .Finish());
  EXPECT_EQ(box.Read("b"), "x");
  EXPECT_EQ(box.ExtractError(TarBuilder().HardLink("new", "new").Finish()),
            "\"new\": hard link to itself");
}

TEST_F(ExtractTest, AFileBelowAFileIsAnError) {
  EXPECT_EQ(
      box.ExtractError(TarBuilder().File("a", "x").File("a/b", "x").Finish()),
      "open directory \"a\": not a directory");
}

TEST_F(ExtractTest, ALoopOfLinksIsAnError) {
  EXPECT_EQ(box.ExtractError(TarBuilder()
                                 .Symlink("a", "b")
                                 .Symlink("b", "a")
                                 .File("a/f", "x")
                                 .Finish()),
            "open directory \"a\": too many levels of symbolic links");
}

TEST_F(ExtractTest, ALongNameIsTheArchivesFault) {
  StringReader tar(TarBuilder()
                       .Pax({{"path", std::string(300, 'n')}})
                       .File("x", "")
                       .Finish());
  try {
    Extract(tar, box.root(), {});
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
  }
}

TEST_F(ExtractTest, DeepPathsWork) {
  std::string path;
  for (int i = 0; i < 1000; ++i) path += "d/";
  path += "f";
  box.Extract(TarBuilder().Pax({{"path", path}}).File("x", "deep").Finish());
  EXPECT_EQ(box.Read(path), "deep");
}

TEST_F(ExtractTest, ReadsTheTarToItsEnd) {
  StringReader tar(TarBuilder().File("a", "b").Finish() +
                   std::string(300'000, '\0'));
  Extract(tar, box.root(), {});
  std::byte rest[1];
  EXPECT_EQ(tar.Read(rest), 0u);
}

TEST_F(ExtractTest, CancelStopsIt) {
  CancelToken cancel;
  cancel.Cancel();
  StringReader tar(TarBuilder().File("a", "b").Finish());
  try {
    Extract(tar, box.root(), {}, cancel);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
}

// As a user without subordinate ids: what cannot be had is left out, and only
// where that was asked for.
TEST_F(ExtractTest, ToleratesWhatItMayNotDo) {
  const std::string tar = TarBuilder()
                              .Owner(7, 8)
                              .Dir("d/", 0750)
                              .File("d/f", "data", 0640)
                              .Symlink("d/l", "f")
                              .Node('3', "d/null", 1, 3)
                              .Node('6', "d/p", 0, 0)
                              .Finish();
  ASSERT_EQ(::fchown(box.root(), 65534, 65534), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 ||
        ::setuid(65534) != 0) {
      ::_exit(9);
    }
    ExtractOptions options;
    try {
      StringReader strict(tar);
      Extract(strict, box.root(), options);
      ::_exit(8);
    } catch (const Error& error) {
      if (error.message() != "chown \"d/\": operation not permitted") {
        ::_exit(7);
      }
    }
    options.tolerate_ownership = true;
    try {
      StringReader lenient(tar);
      Extract(lenient, box.root(), options);
    } catch (...) {
      ::_exit(6);
    }
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(box.Tree(),
              ElementsAre("d 750 65534:65534 d", "f 640 65534:65534 d/f =data",
                          "l d/l -> f", "p 600 65534:65534 d/p"));
}

// The three images that fixes of other tools broke (T4).
TEST_F(ExtractTest, LegalOddImagesComeOutAsTheyAre) {
  // dash: the last component is not resolved.
  box.Extract(TarBuilder()
                  .Dir("bin/")
                  .File("bin/dash", "dash", 0755)
                  .Symlink("bin/sh", "bash")
                  .Symlink("bin/sh", "dash")
                  .Finish());
  EXPECT_EQ(fs::ReadLink(box.root(), "bin/sh"), "dash");
  EXPECT_EQ(box.Read("bin/dash"), "dash");
  // Corretto: a target with more ".." than there are directories.
  const std::string up = "../../../../../../../../etc/pki/java/cacerts";
  box.Extract(TarBuilder().Symlink("usr/lib/jvm/cacerts", up).Finish());
  EXPECT_EQ(fs::ReadLink(box.root(), "usr/lib/jvm/cacerts"), up);
  // merged /usr: writing through links to directories, relative and absolute.
  Sandbox merged;
  merged.Extract(TarBuilder()
                     .Dir("usr/")
                     .Dir("usr/lib/")
                     .Dir("run/")
                     .Dir("var/")
                     .Symlink("lib", "usr/lib")
                     .Symlink("var/run", "/run")
                     .File("lib/ld.so", "loader")
                     .File("var/run/pid", "1")
                     .Finish());
  EXPECT_EQ(merged.Read("usr/lib/ld.so"), "loader");
  EXPECT_EQ(merged.Read("run/pid"), "1");
  EXPECT_EQ(fs::ReadLink(merged.root(), "lib"), "usr/lib");
  EXPECT_EQ(fs::ReadLink(merged.root(), "var/run"), "/run");
}

// T2: what fixes of escapes broke.
TEST_F(ExtractTest, AbsoluteHardLinkTargetsAndDevicesWork) {
  box.Extract(TarBuilder()
                  .Dir("etc/")
                  .File("etc/a", "x")
                  .HardLink("etc/b", "/etc/a")
                  .Owner(0, 6)
                  .Node('4', "dev/loop0", 7, 0, 0660)
                  .Finish());
  EXPECT_EQ(box.Lstat("etc/a").st_ino, box.Lstat("etc/b").st_ino);
  const struct ::stat st = box.Lstat("dev/loop0");
  EXPECT_TRUE(S_ISBLK(st.st_mode));
  EXPECT_EQ(st.st_rdev, makedev(7, 0));
  EXPECT_EQ(st.st_mode & 07777, 0660u);
  EXPECT_EQ(st.st_gid, 6u);
}

}  // namespace
}  // namespace imgbuild::layer
