#include "imgbuild/layer/diff.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"

#include "layer/layer_test_util.h"

namespace imgbuild::layer {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kEpoch = 1'500'000'000;

// One line an entry, as EmitUpper said it.
std::string Line(const Entry& entry, Reader* content) {
  char head[64];
  std::snprintf(head, sizeof head, " %o %u:%u ", entry.mode, entry.uid,
                entry.gid);
  std::string line = head + entry.path;
  switch (entry.type) {
    case EntryType::kFile:
      line = "f" + line + " =" + ReadAll(*content, 1u << 20, "content");
      break;
    case EntryType::kDirectory:
      line = "d" + line;
      break;
    case EntryType::kSymlink:
      line = "l" + line + " -> " + entry.link_target;
      break;
    case EntryType::kHardLink:
      line = "h" + line + " -> " + entry.link_target;
      break;
    case EntryType::kFifo:
      line = "p" + line;
      break;
    default:
      line = "n" + line + " " + std::to_string(entry.dev_major) + "," +
             std::to_string(entry.dev_minor);
  }
  if (entry.type != EntryType::kFile) {
    EXPECT_EQ(content, nullptr);
  }
  for (const auto& [key, value] : entry.xattrs) {
    line += " [" + key + "=" + value + "]";
  }
  return line;
}

// "lower" and "upper", both made from archives: whiteouts in the archive for
// upper become what overlayfs would have made.
class DiffTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!IsPrivileged()) GTEST_SKIP() << "needs root for whiteout devices";
  }
  std::vector<std::string> Diff() {
    options.epoch = kEpoch;
    std::vector<std::string> lines;
    const DirTree lower_tree(lower.root());
    std::string last;
    EmitUpper(upper.root(), lower_tree, options,
              [&](const Entry& entry, Reader* content) {
                EXPECT_LT(last, entry.path);
                EXPECT_LE(entry.mtime_s, kEpoch);
                last = entry.path;
                lines.push_back(Line(entry, content));
              });
    return lines;
  }
  std::string DiffError() {
    try {
      Diff();
    } catch (const Error& error) {
      return error.message();
    }
    ADD_FAILURE() << "expected an Error";
    return "";
  }
  Sandbox lower;
  Sandbox upper;
  DiffOptions options;
};

TEST_F(DiffTest, AnEmptyUpperEmitsNothing) {
  lower.Extract(TarBuilder().File("a/b", "x").Finish());
  EXPECT_THAT(Diff(), IsEmpty());
}

TEST_F(DiffTest, EmitsEveryTypeOfEntry) {
  upper.Extract(TarBuilder()
                    .Owner(7, 8)
                    .Dir("d/", 01777)
                    .File("d/f", "data", 04755)
                    .HardLink("d/h", "d/f")
                    .Symlink("d/l", "../x")
                    .Node('3', "d/c", 1, 3, 0666)
                    .Node('4', "d/b", 8, 1, 0660)
                    .Node('6', "d/p", 0, 0, 0600)
                    .Finish());
  EXPECT_THAT(Diff(), ElementsAre("d 1777 7:8 d", "n 660 7:8 d/b 8,1",
                                  "n 666 7:8 d/c 1,3", "f 4755 7:8 d/f =data",
                                  "h 4755 7:8 d/h -> d/f",
                                  "l 777 7:8 d/l -> ../x", "p 600 7:8 d/p"));
}

TEST_F(DiffTest, EntriesAreInByteOrderOfTheWholePath) {
  upper.Extract(TarBuilder()
                    .File("a/x", "")
                    .File("a-b", "")
                    .File("a.c/x", "")
                    .File("a0", "")
                    .File("a/x-y", "")
                    .File("a/x0/z", "")
                    .Finish());
  EXPECT_THAT(
      Diff(),
      ElementsAre("d 755 0:0 a", "f 644 0:0 a-b =", "d 755 0:0 a.c",
                  "f 644 0:0 a.c/x =", "f 644 0:0 a/x =", "f 644 0:0 a/x-y =",
                  "d 755 0:0 a/x0", "f 644 0:0 a/x0/z =", "f 644 0:0 a0 ="));
}

TEST_F(DiffTest, TimesAreClamped) {
  upper.Extract(TarBuilder()
                    .Time(kEpoch + 1)
                    .File("later", "")
                    .Time(kEpoch - 7)
                    .File("sooner", "")
                    .Pax({{"mtime", std::to_string(kEpoch) + ".5"}})
                    .File("within", "")
                    .Finish());
  options.epoch = kEpoch;
  std::vector<std::pair<std::string, int64_t>> times;
  EmitUpper(upper.root(), DirTree(lower.root()), options,
            [&](const Entry& entry, Reader*) {
              times.emplace_back(entry.path, entry.mtime_s);
              EXPECT_EQ(entry.mtime_ns, 0u);
            });
  EXPECT_THAT(times, ElementsAre(std::pair{"later", kEpoch},
                                 std::pair{"sooner", kEpoch - 7},
                                 std::pair{"within", kEpoch}));
}

TEST_F(DiffTest, WhiteoutsOfWhatIsBelow) {
  lower.Extract(TarBuilder()
                    .File("d/f", "x")
                    .File("t/a/b", "x")
                    .Symlink("l", "x")
                    .Finish());
  upper.Extract(TarBuilder()
                    .File("d/.wh.f", "")
                    .File("d/.wh.never", "")
                    .File(".wh.t", "")
                    .File(".wh.l", "")
                    .File(".wh.gone", "")
                    .Finish());
  EXPECT_THAT(Diff(), ElementsAre("f 0 0:0 .wh.l =", "f 0 0:0 .wh.t =",
                                  "d 755 0:0 d", "f 0 0:0 d/.wh.f ="));
}

TEST_F(DiffTest, WhiteoutsSortUnderTheirOwnName) {
  lower.Extract(TarBuilder().File("z", "x").Finish());
  upper.Extract(
      TarBuilder().File(".wh.z", "").File("-", "").File("a", "").Finish());
  EXPECT_THAT(Diff(),
              ElementsAre("f 644 0:0 - =", "f 0 0:0 .wh.z =", "f 644 0:0 a ="));
}

TEST_F(DiffTest, OpaqueDirectories) {
  lower.Extract(TarBuilder()
                    .File("full/old", "x")
                    .File("full/sub/old", "x")
                    .Dir("empty/")
                    .File("file", "x")
                    .Finish());
  upper.Extract(TarBuilder()
                    .Dir("full/")
                    .File("full/.wh..wh..opq", "")
                    .File("full/new", "")
                    .Dir("full/sub/")
                    .File("full/sub/.wh..wh..opq", "")
                    .Dir("empty/")
                    .File("empty/.wh..wh..opq", "")
                    .Dir("file/")
                    .File("file/.wh..wh..opq", "")
                    .Dir("absent/")
                    .File("absent/.wh..wh..opq", "")
                    .Finish());
  // A marker only where there is something to hide that a marker above does
  // not hide already.
  EXPECT_THAT(Diff(),
              ElementsAre("d 755 0:0 absent", "d 755 0:0 file",
                          "d 755 0:0 full", "f 0 0:0 full/.wh..wh..opq =",
                          "f 644 0:0 full/new =", "d 755 0:0 full/sub"));
}

TEST_F(DiffTest, WhiteoutsInsideAnOpaqueDirectoryAreDropped) {
  lower.Extract(TarBuilder().File("d/a", "x").Finish());
  upper.Extract(TarBuilder()
                    .Dir("d/")
                    .File("d/.wh..wh..opq", "")
                    .File("d/.wh.a", "")
                    .Finish());
  EXPECT_THAT(Diff(), ElementsAre("d 755 0:0 d", "f 0 0:0 d/.wh..wh..opq ="));
}

TEST_F(DiffTest, DirectoriesOnTheWayToNothingAreDropped) {
  lower.Extract(TarBuilder()
                    .Dir("a/")
                    .Dir("a/b/")
                    .Dir("a/b/c/")
                    .Dir("mode/", 0700)
                    .Dir("owner/")
                    .Dir("attribute/")
                    .Dir("kept/")
                    .Finish());
  upper.Extract(TarBuilder()
                    .Time(kEpoch + 99)
                    .Dir("a/")
                    .Dir("a/b/")
                    .Dir("a/b/c/")
                    .File("a/b/c/.wh.temporary", "")
                    .Dir("mode/", 0711)
                    .Pax({{"SCHILY.xattr.user.x", "1"}})
                    .Dir("attribute/")
                    .Dir("kept/")
                    .File("kept/new", "")
                    .Owner(1, 0)
                    .Dir("owner/")
                    .Finish());
  EXPECT_THAT(Diff(), ElementsAre("d 755 0:0 attribute [user.x=1]",
                                  "d 755 0:0 kept", "f 644 0:0 kept/new =",
                                  "d 711 0:0 mode", "d 755 1:0 owner"));
}

TEST_F(DiffTest, WhatIsTheSameInEveryRespectIsDropped) {
  const TarBuilder same = TarBuilder()
                              .Dir("d/")
                              .File("d/f", "same")
                              .Symlink("d/l", "x")
                              .Node('6', "d/p", 0, 0)
                              .Dir("e/")
                              .File("e/same", "beside a change")
                              .Symlink("e/same-link", "x")
                              .File("same", "same");
  lower.Extract(TarBuilder(same)
                    .File("bytes", "12345")
                    .File("mode", "x", 0600)
                    .File("time", "x")
                    .File("attribute", "x")
                    .Symlink("target", "12345")
                    .File("linked", "x")
                    .Finish());
  upper.Extract(TarBuilder(same)
                    .File("e/new", "")
                    .File("bytes", "12346")
                    .File("mode", "x", 0644)
                    .Pax({{"SCHILY.xattr.user.x", "1"}})
                    .File("attribute", "x")
                    .Symlink("target", "12346")
                    .File("linked", "x")
                    .HardLink("linked2", "linked")
                    .Time(1'000'000'001)
                    .File("time", "x")
                    .Finish());
  EXPECT_THAT(
      Diff(),
      ElementsAre("f 644 0:0 attribute =x [user.x=1]", "f 644 0:0 bytes =12346",
                  "d 755 0:0 e", "f 644 0:0 e/new =", "f 644 0:0 linked =x",
                  "h 644 0:0 linked2 -> linked", "f 644 0:0 mode =x",
                  "l 777 0:0 target -> 12346", "f 644 0:0 time =x"));
}

// A file that COPY brought in has the epoch; touching it changes nothing that a
// layer could say.
TEST_F(DiffTest, TimesAreComparedAsTheLayerSaysThem) {
  lower.Extract(TarBuilder()
                    .Time(kEpoch)
                    .File("touched", "x")
                    .Time(kEpoch - 5)
                    .File("fraction", "x")
                    .File("newer", "x")
                    .Finish());
  upper.Extract(TarBuilder()
                    .Time(kEpoch + 1000)
                    .File("touched", "x")
                    .File("newer", "x")
                    .Pax({{"mtime", std::to_string(kEpoch - 5) + ".25"}})
                    .File("fraction", "x")
                    .Finish());
  EXPECT_THAT(Diff(), ElementsAre("f 644 0:0 newer =x"));
}

TEST_F(DiffTest, ADirectoryOverAFileHidesNothingButIsNew) {
  lower.Extract(TarBuilder().File("x", "file").Finish());
  upper.Extract(TarBuilder().Dir("x/").Dir("x/y/").Finish());
  EXPECT_THAT(Diff(), ElementsAre("d 755 0:0 x", "d 755 0:0 x/y"));
}

TEST_F(DiffTest, OnlyAttributesThatBelongInALayer) {
  upper.Extract(TarBuilder()
                    .Pax({{"SCHILY.xattr.user.kept", "1"},
                          {"SCHILY.xattr.trusted.dropped", "1"}})
                    .File("f", "x")
                    .Finish());
  const auto set = [this](const char* key, const char* value) {
    EXPECT_TRUE(fs::SetXattr(upper.root(), "f", key, value)) << key;
  };
  set("trusted.overlay.origin", "o");
  set("trusted.overlay.impure", "y");
  set("user.overlay.nlink", "1");
  EXPECT_THAT(Diff(), ElementsAre("f 644 0:0 f =x [user.kept=1]"));
}

TEST_F(DiffTest, RedirectsAndMetacopiesAreRefused) {
  upper.Extract(TarBuilder().Dir("d/").Finish());
  fs::SetXattr(upper.root(), "d", "trusted.overlay.redirect", "/elsewhere");
  EXPECT_EQ(DiffError(),
            "\"d\": overlayfs wrote it with redirect, which cannot be "
            "committed");
}

TEST_F(DiffTest, NamesThatALayerCannotHoldAreRefused) {
  ExtractOptions verbatim;
  verbatim.whiteouts = WhiteoutForm::kVerbatim;
  upper.Extract(TarBuilder().File("d/.wh.x", "data").Finish(), verbatim);
  EXPECT_EQ(DiffError(),
            "\"d/.wh.x\": a layer cannot hold names that begin with \".wh.\"");
}

TEST_F(DiffTest, SocketsAreNotEmitted) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = upper.root_path() + "/socket";
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(
      ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address),
      0);
  ::close(fd);
  EXPECT_THAT(Diff(), IsEmpty());
}

TEST_F(DiffTest, CancelStopsIt) {
  upper.Extract(TarBuilder().File("a", "").Finish());
  CancelToken cancel;
  cancel.Cancel();
  EXPECT_THROW(EmitUpper(
                   upper.root(), DirTree(lower.root()), options,
                   [](const Entry&, Reader*) {}, cancel),
               Error);
}

// The kernel's own overlay: what a step does to the merged tree is what its
// layer does to a tree that it is applied to.
class OverlayTest : public DiffTest {
 protected:
  // Runs `script` in the merged tree of lower and upper. False when this
  // machine cannot mount.
  bool RunInOverlay(const std::string& script) {
    const fs::TempDir work = fs::TempDir::InTmp("layer-test-work-");
    fs::MakeDir(work.fd(), "work", 0755);
    fs::MakeDir(work.fd(), "merged", 0755);
    ProcessOptions process;
    process.argv = {
        "unshare", "-m", "sh", "-ec",
        "mount -t overlay overlay -o redirect_dir=off,metacopy=off,index=off,"
        "lowerdir=" +
            lower.root_path() + ",upperdir=" + upper.root_path() +
            ",workdir=" + work.path() + "/work " + work.path() +
            "/merged || exit 99\ncd " + work.path() + "/merged\n" + script};
    const CommandResult result = RunCommand(process);
    merged_listing = result.out;
    if (result.status.code == 99) return false;
    EXPECT_TRUE(result.status.ok()) << result.err;
    return true;
  }

  // The step's layer, as a tar.
  std::string LayerOfUpper() {
    ThreadPool pool(1);
    StringWriter blob;
    LayerWriter writer(blob, pool, oci::Compression::kNone);
    options.epoch = kEpoch;
    EmitUpper(upper.root(), DirTree(lower.root()), options,
              [&](const Entry& entry, Reader* content) {
                writer.Add(entry, content);
              });
    writer.Finish();
    return blob.Take();
  }
  std::string merged_listing;
};

TEST_F(OverlayTest, AStepThatChangesNothingEmitsNothing) {
  lower.Extract(TarBuilder()
                    .Dir("d/")
                    .File("d/f", "x")
                    .File("d/g", "x")
                    .Symlink("d/l", "f")
                    .Dir("tmp/", 01777)
                    .Finish());
  if (!RunInOverlay(": > tmp/x; rm tmp/x; mkdir -p d/new/deep; rm -r d/new\n"
                    "chown -R 0:0 d; chmod 755 d; exec 3<> d/f")) {
    GTEST_SKIP() << "cannot mount overlayfs";
  }
  EXPECT_THAT(Diff(), IsEmpty());
}

TEST_F(OverlayTest, TheLayerDoesWhatTheStepDid) {
  const std::string base = TarBuilder()
                               .Dir("etc/")
                               .File("etc/kept", "kept")
                               .File("etc/changed", "old")
                               .File("etc/removed", "old")
                               .Dir("tree/")
                               .Dir("tree/sub/")
                               .File("tree/sub/f", "old")
                               .File("tree/g", "old")
                               .Dir("again/")
                               .File("again/f", "old")
                               .File("hard1", "linked")
                               .HardLink("hard2", "hard1")
                               .File("becomes-dir", "x")
                               .Dir("becomes-file/")
                               .File("becomes-file/x", "x")
                               .Symlink("link", "etc/kept")
                               .Finish();
  lower.Extract(base);
  if (!RunInOverlay(R"(
      echo new > etc/changed; rm etc/removed; echo a > etc/added
      rm -r tree
      rm -r again; mkdir again; echo b > again/new
      rm becomes-dir; mkdir becomes-dir; echo c > becomes-dir/f
      rm -r becomes-file; echo d > becomes-file
      ln -sfn etc/changed link
      mkdir n; echo e > n/one; ln n/one n/two; mkfifo n/fifo
      chmod 700 etc; mv hard1 moved; ln etc/kept kept2)")) {
    GTEST_SKIP() << "cannot mount overlayfs";
  }
  const std::string layer = LayerOfUpper();
  Sandbox applied;
  ExtractOptions apply;
  apply.whiteouts = WhiteoutForm::kApply;
  applied.Extract(base, apply);
  applied.Extract(layer, apply);
  EXPECT_THAT(
      applied.Tree(),
      ElementsAre("d 755 0:0 again", "f 644 0:0 again/new =b\n",
                  "d 755 0:0 becomes-dir", "f 644 0:0 becomes-dir/f =c\n",
                  "f 644 0:0 becomes-file =d\n", "d 700 0:0 etc",
                  "f 644 0:0 etc/added =a\n", "f 644 0:0 etc/changed =new\n",
                  "f 644 0:0 etc/kept =kept #2", "f 644 0:0 hard2 =linked",
                  "f 644 0:0 kept2 =kept #2", "l link -> etc/changed",
                  "f 644 0:0 moved =linked", "d 755 0:0 n", "p 644 0:0 n/fifo",
                  "f 644 0:0 n/one =e\n #2", "f 644 0:0 n/two =e\n #2"));
  // Stacked as a directory of its own it shows the same.
  Sandbox stacked;
  const ExtractResult result = stacked.Extract(layer);
  EXPECT_THAT(result.implied_directories, IsEmpty());
  EXPECT_THAT(result.lower_links, IsEmpty());
  std::vector<std::string> whiteouts;
  for (const std::string& line : stacked.Tree()) {
    if (line.starts_with("w ")) whiteouts.push_back(line);
  }
  EXPECT_THAT(whiteouts, ElementsAre("w etc/removed", "w hard1", "w tree"));
  // And it is the same layer every time.
  EXPECT_EQ(LayerOfUpper(), layer);
}

}  // namespace
}  // namespace imgbuild::layer
