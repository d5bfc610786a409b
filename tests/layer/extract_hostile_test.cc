#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

#include "layer/layer_test_util.h"

// Archives that want to leave their root. Each lesson that other tools learned
// has its number, T1 to T16.
namespace imgbuild::layer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr WhiteoutForm kForms[] = {WhiteoutForm::kOverlay, WhiteoutForm::kApply,
                                   WhiteoutForm::kVerbatim};

class HostileTest : public ::testing::TestWithParam<WhiteoutForm> {
 protected:
  void SetUp() override {
    if (!IsPrivileged()) GTEST_SKIP() << "needs root for owners and devices";
    options.whiteouts = GetParam();
  }
  void TearDown() override {
    if (!IsSkipped()) box.ExpectOutsideUntouched();
  }
  // Whatever becomes of it, nothing outside may change (see TearDown).
  void Try(const TarBuilder& tar) {
    try {
      box.Extract(tar.Finish(), options);
    } catch (const Error&) {
    }
  }
  Sandbox box;
  ExtractOptions options;
};
INSTANTIATE_TEST_SUITE_P(Forms, HostileTest, ::testing::ValuesIn(kForms));

TEST_P(HostileTest, T1_LinkThenFileThroughIt) {
  box.Extract(TarBuilder()
                  .Symlink("a", box.outside_path())
                  .File("a/file", "overwritten")
                  .File("a/new", "planted")
                  .Dir("a/dir/", 0777)
                  .Finish(),
              options);
  // The path resolves as after chroot: below the root.
  EXPECT_EQ(box.Read(box.outside_path() + "/file"), "overwritten");
  EXPECT_EQ(fs::ReadLink(box.root(), "a"), box.outside_path());
}

TEST_P(HostileTest, T1_RelativeLinksClimbNoHigherThanTheRoot) {
  box.Extract(TarBuilder()
                  .Symlink("up", "../../../../../../../..")
                  .File("up/tmp/x", "1")
                  .Symlink("out", "../outside")
                  .File("out/file", "2")
                  .Finish(),
              options);
  EXPECT_EQ(box.Read("tmp/x"), "1");
  EXPECT_EQ(box.Read("outside/file"), "2");
}

TEST_P(HostileTest, T1_ChainedLinks) {
  box.Extract(TarBuilder()
                  .Symlink("a", "b")
                  .Symlink("b", "c/..")
                  .Symlink("c", box.outside_path())
                  .File("a/file", "x")
                  .File("b/dir/f", "x")
                  .File("c/file", "x")
                  .Finish(),
              options);
}

TEST_P(HostileTest, T1_LinkThenDirectoryThenFile) {
  Try(TarBuilder()
          .Symlink("a", box.outside_path())
          .Dir("a/", 0777)
          .File("a/file", "x")
          .Symlink("a", box.outside_path())
          .File("a/file", "y"));
  EXPECT_EQ(fs::ReadLink(box.root(), "a"), box.outside_path());
  EXPECT_EQ(box.Read(box.outside_path() + "/file"), "y");
}

TEST_P(HostileTest, T1_DirectoryReplacedByALinkBetweenItsFiles) {
  Try(TarBuilder()
          .Dir("d/")
          .File("d/one", "1")
          .Symlink("d", box.outside_path())
          .File("d/file", "2")
          .File("d/new", "3"));
}

TEST_P(HostileTest, T1_MagicLinksAreNotFollowed) {
  Try(TarBuilder()
          .Symlink("p", "/proc/self/root" + box.outside_path())
          .File("p/file", "x"));
  Try(TarBuilder().Symlink("q", "/proc/self/fd").File("q/3/file", "x"));
}

TEST_P(HostileTest, T3_NamesThatClimb) {
  box.Extract(TarBuilder()
                  .File("../outside/file", "1")
                  .File("../../../../../../../../etc/imgbuild-test", "2")
                  .File("/abs", "3")
                  .File("a/../../b", "4")
                  .File(".//.//c", "5")
                  .File("d/../../../outside/file", "6")
                  .File("/../outside/new", "7")
                  .File("e/./../f", "8")
                  .Dir("../outside/dir/", 0777)
                  .Finish(),
              options);
  EXPECT_EQ(box.Read("outside/file"), "6");
  EXPECT_EQ(box.Read("outside/new"), "7");
  EXPECT_EQ(box.Read("etc/imgbuild-test"), "2");
  EXPECT_EQ(box.Read("abs"), "3");
  EXPECT_EQ(box.Read("b"), "4");
  EXPECT_EQ(box.Read("c"), "5");
  EXPECT_EQ(box.Read("f"), "8");
}

TEST_P(HostileTest, T3_AbsoluteNamesOfRealFiles) {
  box.Extract(TarBuilder()
                  .File(box.outside_path() + "/file", "x")
                  .Dir(box.outside_path() + "/dir", 0777)
                  .Finish(),
              options);
}

TEST_P(HostileTest, T5_EntriesOverAnEscapingLink) {
  const std::string file = box.outside_path() + "/file";
  const std::string dir = box.outside_path() + "/dir";
  const TarBuilder base = TarBuilder().Owner(9, 9).Time(99);
  for (const std::string& target : {file, dir}) {
    Try(TarBuilder(base).Symlink("x", target).Dir("x/", 0777));
    EXPECT_TRUE(S_ISDIR(box.Lstat("x").st_mode));
    Try(TarBuilder(base).Symlink("x", target).File("x", "new", 0666));
    EXPECT_TRUE(S_ISREG(box.Lstat("x").st_mode));
    Try(TarBuilder(base)
            .File("y", "mine")
            .Symlink("x", target)
            .HardLink("x", "y"));
    EXPECT_EQ(box.Lstat("x").st_ino, box.Lstat("y").st_ino);
    Try(TarBuilder(base).Symlink("x", target).Node('3', "x", 1, 3, 0666));
    EXPECT_TRUE(S_ISCHR(box.Lstat("x").st_mode));
    Try(TarBuilder(base).Symlink("x", target).Node('6', "x", 0, 0, 0666));
    EXPECT_TRUE(S_ISFIFO(box.Lstat("x").st_mode));
    Try(TarBuilder(base)
            .Pax({{"SCHILY.xattr.user.planted", "1"},
                  {"SCHILY.xattr.trusted.planted", "1"}})
            .Symlink("x", target));
    Try(TarBuilder(base)
            .Symlink("x", target)
            .Pax({{"SCHILY.xattr.user.planted", "1"}})
            .Dir("x/"));
  }
}

TEST_P(HostileTest, T6_TheRootIsNeverReplaced) {
  for (const std::string name : {".", "/", "./", "", "..", "../..", "a/.."}) {
    const std::string text = box.ExtractError(
        TarBuilder().Symlink(name, box.outside_path()).Finish(), options);
    EXPECT_THAT(text, HasSubstr("")) << name;
    EXPECT_NE(text, "") << name;
    box.ExtractError(TarBuilder()
                         .File(name == "./" || name == "/" ? "." : name, "x")
                         .Finish(),
                     options);
    box.ExtractError(TarBuilder().HardLink(name, "x").Finish(), options);
    box.ExtractError(TarBuilder().Node('3', name, 1, 3).Finish(), options);
  }
  EXPECT_TRUE(S_ISDIR(fs::Fstat(box.root()).st_mode));
  EXPECT_THAT(box.Tree(), IsEmpty());
}

TEST_P(HostileTest, T6_HardLinksToTheRoot) {
  for (const std::string target : {".", "/", "./", "..", "a/.."}) {
    EXPECT_EQ(
        box.ExtractError(TarBuilder().HardLink("x", target).Finish(), options),
        "\"x\": hard link to the root");
  }
}

TEST_P(HostileTest, T7_HardLinkTargetsThatClimb) {
  Try(TarBuilder().HardLink("x", "../outside/file"));
  EXPECT_FALSE(box.Exists("x"));
  Try(TarBuilder().HardLink("x", box.outside_path() + "/file"));
  EXPECT_FALSE(box.Exists("x"));
  Try(TarBuilder()
          .Symlink("l", box.outside_path())
          .HardLink("x", "l/file")
          .File("x", "written"));
}

TEST_P(HostileTest, T7_HardLinkToAnEscapingLinkIsThatLink) {
  Try(TarBuilder()
          .Symlink("l", box.outside_path() + "/file")
          .HardLink("x", "l")
          .File("x", "replaced"));
  EXPECT_EQ(box.Read("x"), "replaced");
  EXPECT_EQ(fs::ReadLink(box.root(), "l"), box.outside_path() + "/file");
}

TEST_P(HostileTest, T7_HardLinkWithData) {
  // Old writers repeat the target's size and add no data; PAX ones may add it.
  // It is never written: that would write through the link.
  box.Extract(TarBuilder()
                  .File("a", "one")
                  .Raw('1', "b", "a", "", 100, 0644)
                  .Pax({{"comment", "this makes it a PAX archive"}})
                  .HardLink("c", "a", "data that is not to be written")
                  .File("d", "next")
                  .Finish(),
              options);
  EXPECT_EQ(box.Read("a"), "one");
  EXPECT_EQ(box.Read("b"), "one");
  EXPECT_EQ(box.Read("c"), "one");
  EXPECT_EQ(box.Read("d"), "next");
}

TEST_P(HostileTest, T7_HardLinkToADirectory) {
  EXPECT_EQ(box.ExtractError(TarBuilder().Dir("d/").HardLink("x", "d").Finish(),
                             options),
            "\"x\": hard link to the directory \"d\"");
}

TEST_P(HostileTest, T9_LinksAndDirectoriesWithEscapingNames) {
  box.Extract(TarBuilder()
                  .Symlink("../outside/link", "x")
                  .Dir("../outside/new/deep/")
                  .Symlink("l", box.outside_path())
                  .Symlink("l/link", "/etc/passwd")
                  .Dir("l/new/")
                  .File("l/implied/deep/f", "x")
                  .Node('6', "l/fifo", 0, 0)
                  .Finish(),
              options);
  EXPECT_EQ(fs::ReadLink(box.root(), "outside/link"), "x");
}

TEST_P(HostileTest, T10_WhiteoutsThroughLinks) {
  Try(TarBuilder()
          .Symlink("a", box.outside_path())
          .File("a/.wh.file", "")
          .File("a/.wh.dir", "")
          .File("a/.wh..wh..opq", ""));
  Try(TarBuilder().File("../outside/.wh.file", "").File("/.wh.outside", ""));
}

TEST_P(HostileTest, T10_WhiteoutsOfDotNames) {
  box.Extract(TarBuilder().Dir("d/").File("d/kept", "x").Finish(), options);
  for (const std::string name :
       {".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."}) {
    const std::string tar = TarBuilder().File(name, "data").Finish();
    if (GetParam() == WhiteoutForm::kVerbatim) {
      box.Extract(tar, options);
      EXPECT_EQ(box.Read(name), "data");
    } else {
      EXPECT_EQ(box.ExtractError(tar, options),
                "\"" + name + "\": a whiteout of no name");
    }
  }
  EXPECT_EQ(box.Read("d/kept"), "x");
}

TEST_P(HostileTest, OverlayAttributesAreNotTaken) {
  box.Extract(TarBuilder()
                  .Pax({{"SCHILY.xattr.trusted.overlay.opaque", "y"},
                        {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
                        {"SCHILY.xattr.user.overlay.opaque", "y"},
                        {"SCHILY.xattr.user.kept", "1"}})
                  .Dir("d/")
                  .Pax({{"SCHILY.xattr.trusted.overlay.metacopy", ""},
                        {"SCHILY.xattr.user.kept", "1"}})
                  .File("f", "x")
                  .Finish(),
              options);
  EXPECT_EQ(box.Xattrs("d").size(), 1u);
  EXPECT_EQ(box.Xattrs("f").size(), 1u);
}

// T11: somebody swaps a directory for a link to the outside, over and over,
// while entries are put below it.
TEST_P(HostileTest, T11_SwappedWhileExtracting) {
  TarBuilder tar;
  tar.Owner(9, 9).Time(99);
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    tar.Dir("victim/", 0777)
        .File("victim/file", "planted " + n, 0666)
        .Dir("victim/dir/", 0777)
        .Symlink("victim/dir/l" + n, "x")
        .Node('6', "victim/p" + n, 0, 0, 0666);
    if (GetParam() != WhiteoutForm::kVerbatim) {
      tar.File("victim/.wh.other" + n, "").File("victim/.wh..wh..opq", "");
    }
  }
  const std::string bytes = tar.Finish();
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    ::symlinkat(box.outside_path().c_str(), box.root(), "link");
    ::mkdirat(box.root(), "real", 0755);
    while (!stop) {
      for (const auto& [from, to] :
           {std::pair{"victim", "aside"}, std::pair{"link", "victim"},
            std::pair{"victim", "link"}, std::pair{"aside", "victim"}}) {
        ::renameat(box.root(), from, box.root(), to);
      }
      ::symlinkat(box.outside_path().c_str(), box.root(), "link");
    }
  });
  const auto until =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(700);
  int rounds = 0;
  while (std::chrono::steady_clock::now() < until) {
    try {
      box.Extract(bytes, options);
    } catch (const Error&) {
      // What is there may vanish between two calls; that is the caller's tree
      // to discard. Only an escape would be wrong.
    }
    ++rounds;
  }
  stop = true;
  swapper.join();
  EXPECT_GT(rounds, 0);
}

// T8: no copy is made when a link cannot be.
TEST(Hostile, T8_HardLinksDoNotCrossFileSystems) {
  if (!IsPrivileged()) GTEST_SKIP();
  Sandbox box;
  // An escaping link to another file system's file resolves inside the root,
  // where there is nothing.
  ExtractOptions options;
  options.whiteouts = WhiteoutForm::kApply;
  EXPECT_THAT(box.ExtractError(TarBuilder()
                                   .Symlink("l", "/dev/shm")
                                   .HardLink("x", "l/file")
                                   .Finish(),
                               options),
              HasSubstr("which is not there"));
  EXPECT_FALSE(box.Exists("x"));
}

// T14: a bomb of zeros stops at the limit, by its declared size before a byte
// is written.
TEST(Hostile, T14_BombsStopAtTheLimit) {
  class Zeros : public Reader {
   public:
    size_t Read(std::span<std::byte> buffer) override {
      std::fill(buffer.begin(), buffer.end(), std::byte{0});
      return buffer.size();
    }
  };
  Sandbox box;
  ExtractOptions options;
  options.tolerate_ownership = true;
  options.limits.max_total_bytes = 100u << 20;
  EXPECT_EQ(
      box.ExtractError(
          TarBuilder().Raw('0', "zeros", "", "", 8'000'000'000, 0644).bytes(),
          options),
      "tar: more than 104857600 bytes of file data");
  EXPECT_FALSE(box.Exists("zeros"));
  // Many files of 30 MiB.
  ThreadPool pool(2);
  StringWriter blob;
  LayerWriter writer(blob, pool);
  for (int i = 0; i < 4; ++i) {
    Entry entry;
    entry.path = "zeros" + std::to_string(i);
    entry.size = 30u << 20;
    class Part : public Reader {
     public:
      size_t Read(std::span<std::byte> buffer) override {
        const size_t n = std::min<size_t>(buffer.size(), left_);
        std::fill_n(buffer.begin(), n, std::byte{0});
        left_ -= n;
        return n;
      }

     private:
      size_t left_ = 30u << 20;
    } part;
    writer.Add(entry, &part);
  }
  writer.Finish();
  StringReader input(blob.text());
  const auto tar = Decompress(input, oci::Compression::kGzip);
  try {
    Extract(*tar, box.root(), options);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "tar: more than 104857600 bytes of file data");
  }
}

TEST(Hostile, T14_EntryCountHasALimit) {
  Sandbox box;
  ExtractOptions options;
  options.tolerate_ownership = true;
  options.limits.max_entries = 3;
  TarBuilder tar;
  for (int i = 0; i < 5; ++i) tar.File("f" + std::to_string(i), "");
  EXPECT_EQ(box.ExtractError(tar.Finish(), options),
            "tar: more than 3 entries");
}

}  // namespace
}  // namespace imgbuild::layer
