// The merged tree against the kernel's overlayfs and against the plain merge,
// over random stacks of layers.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "imgbuild/util/error.h"

#include "random_layers.h"
#include "store_test_util.h"
#include "support/layer_tree.h"
#include "support/merged_tree.h"

namespace imgbuild::store {
namespace {

using Kind = Node::Kind;
using Lines = std::vector<std::string>;

// Mounts by the new API; an empty descriptor with errno where that is not
// permitted.
UniqueFd MountOverlay(const OverlayMount& mount) {
  UniqueFd context(::fsopen("overlay", FSOPEN_CLOEXEC));
  if (!context) return {};
  for (const std::string& lower : mount.lower) {
    if (::fsconfig(context.get(), FSCONFIG_SET_STRING, "lowerdir+",
                   lower.c_str(), 0) != 0) {
      return {};
    }
  }
  ::fsconfig(context.get(), FSCONFIG_SET_STRING, "upperdir",
             mount.upper.c_str(), 0);
  ::fsconfig(context.get(), FSCONFIG_SET_STRING, "workdir", mount.work.c_str(),
             0);
  ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "volatile", nullptr, 0);
  if (mount.user_xattr) {
    ::fsconfig(context.get(), FSCONFIG_SET_FLAG, "userxattr", nullptr, 0);
  }
  if (::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) !=
      0) {
    return {};
  }
  return UniqueFd(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
}

class OverlayKernelTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!CanWriteLayers()) GTEST_SKIP() << "mounting needs root";
    const auto active = snapshots().Prepare({});
    if (!MountOverlay(active->mount())) {
      GTEST_SKIP() << "overlay cannot be mounted here: "
                   << std::strerror(errno);
    }
  }
  Snapshotter& snapshots() { return fixture_.store().snapshots(); }

  static oci::DiffId Id(const std::string& text) {
    return oci::DiffId(oci::Digest::OfBytes(text));
  }
  LocalFixture fixture_;
};

// Without the root's line and what is no property of the tree.
Lines Comparable(const FileTree& tree) {
  Lines lines = Describe(tree);
  lines.erase(lines.begin());
  return lines;
}

// Overlayfs may give one inode number to one file only where it can; the
// identity of links is compared between the two trees of ours. And it lists a
// whiteout that hides nothing, in a directory that only one layer has, as a
// name without a file: such layers only come out of odd archives.
Lines OfKernel(Lines lines) {
  std::erase_if(
      lines, [](const std::string& line) { return line.ends_with(" absent"); });
  for (std::string& line : lines) {
    const size_t at = line.rfind(" =");
    if (at != std::string::npos) line.resize(at);
  }
  return lines;
}

TEST_F(OverlayKernelTest, AgreesWithTheKernelOverRandomStacks) {
  constexpr unsigned kRounds = 60;
  for (unsigned round = 0; round < kRounds; ++round) {
    RandomLayers random(round);
    std::vector<oci::DiffId> chain;
    std::vector<fs::TempDir> dirs;
    std::vector<MergedLayer> plain;
    const int layers = 2 + random.Number(4);
    for (int i = 0; i < layers; ++i) {
      layer::ExtractResult result;
      const std::vector<Node> nodes = random.Layer(&result);
      const auto pending = snapshots().Begin();
      WriteNodes(pending->fd(), nodes, snapshots().opaque_xattr());
      const auto id = Id(std::to_string(round) + "/" + std::to_string(i));
      pending->Commit(id, result);
      chain.push_back(id);
      dirs.push_back(fs::TempDir::InTmp());
      WriteNodes(dirs.back().fd(), nodes, snapshots().opaque_xattr());
      plain.push_back({std::make_shared<DirTree>(dirs.back().fd()),
                       dirs.back().fd(), result});
    }
    // Each layer is met on several stacks: a permutation the second time.
    for (int turn = 0; turn < 2; ++turn) {
      const Lines ours = Comparable(*snapshots().View(chain));
      EXPECT_EQ(ours, Comparable(MergedTree(plain, snapshots().opaque_xattr())))
          << "round " << round << " turn " << turn;
      // The same, grown layer by layer from one that has been read.
      std::shared_ptr<const FileTree> grown = snapshots().View({chain[0]});
      for (size_t i = 1; i < chain.size(); ++i) {
        Comparable(*grown);
        grown = snapshots().ViewOn(*grown, chain[i]);
        ASSERT_TRUE(grown);
      }
      EXPECT_EQ(ours, Comparable(*grown))
          << "round " << round << " turn " << turn;
      const auto active = snapshots().Prepare(chain);
      const UniqueFd mount = MountOverlay(active->mount());
      ASSERT_TRUE(mount) << std::strerror(errno);
      EXPECT_EQ(OfKernel(ours), OfKernel(Comparable(DirTree(mount.get()))))
          << "round " << round << " turn " << turn;
      std::ranges::rotate(chain, chain.begin() + 1);
      std::ranges::rotate(plain, plain.begin() + 1);
    }
  }
}

TEST_F(OverlayKernelTest, LinksToLowerFilesAreOneFileForTheKernelToo) {
  const auto add = [&](const std::string& name, const std::vector<Node>& nodes,
                       const layer::ExtractResult& result) {
    const auto pending = snapshots().Begin();
    WriteNodes(pending->fd(), nodes, snapshots().opaque_xattr());
    pending->Commit(Id(name), result);
    return Id(name);
  };
  const auto low = add("low",
                       {{Kind::kFile, "d/a", "a", 0755, 3, 77},
                        {Kind::kFile, "d/b", "b"},
                        {Kind::kSymlink, "s", "d"},
                        {Kind::kDirectory, "d", "", 0711, 5, 88}},
                       {});
  layer::ExtractResult result;
  result.implied_directories = {"new"};
  result.lower_links = {
      {"d/again", "d/a"}, {"new/b", "s/b"}, {"new/link", "s"}};
  // The second target goes away in the same layer.
  const auto high = add("high",
                        {{Kind::kWhiteout, "d/b"},
                         {Kind::kFile, "new/x", "x"},
                         {Kind::kDirectory, "d", "", 0700, 6, 99}},
                        result);
  const auto view = snapshots().View({low, high});
  const auto active = snapshots().Prepare({low, high});
  const UniqueFd mount = MountOverlay(active->mount());
  ASSERT_TRUE(mount) << std::strerror(errno);
  const Lines expected = {"d dir 0700 6 99",
                          "d/a file 0755 3 77 a",
                          "d/again file 0755 3 77 a =d/a",
                          "new dir 0755 0 0",
                          "new/b file 0644 0 1000 b",
                          "new/link link 0 1000 -> d",
                          "new/x file 0644 0 1000 x",
                          "s link 0 1000 -> d =new/link"};
  EXPECT_EQ(Comparable(*view), expected);
  EXPECT_EQ(Comparable(DirTree(mount.get())), expected);
  // And on another stack.
  const auto other = add("other",
                         {{Kind::kFile, "d/a", "other"},
                          {Kind::kFile, "d/b", "other"},
                          {Kind::kSymlink, "s", "d"}},
                         {});
  const auto again = snapshots().Prepare({other, high});
  const UniqueFd second = MountOverlay(again->mount());
  ASSERT_TRUE(second) << std::strerror(errno);
  EXPECT_EQ(Comparable(DirTree(second.get())),
            Comparable(*snapshots().View({other, high})));
  EXPECT_EQ(fs::ReadFile(second.get(), "d/again", 10), "other");
}

TEST_F(OverlayKernelTest, TheRootOfAMountHasTheImagesOwnerAndIsOpenToAll) {
  layer::ExtractResult with_root;
  with_root.has_root_entry = true;
  const auto pending = snapshots().Begin();
  // Made in a `mktemp -d`, say.
  ASSERT_EQ(::fchmod(pending->fd(), 0700), 0);
  ASSERT_EQ(::fchown(pending->fd(), 3, 4), 0);
  pending->Commit(Id("low"), with_root);
  snapshots().Begin()->Commit(Id("high"), {});
  const auto active = snapshots().Prepare({Id("low"), Id("high")});
  const UniqueFd mount = MountOverlay(active->mount());
  ASSERT_TRUE(mount) << std::strerror(errno);
  const struct ::stat st = fs::Fstat(mount.get());
  EXPECT_EQ(st.st_mode & 07777, 0755u);
  EXPECT_EQ(st.st_uid, 3u);
  EXPECT_EQ(st.st_gid, 4u);
}

TEST_F(OverlayKernelTest, FiveHundredLayersMountAndRead) {
  constexpr int kLayers = 499;
  std::vector<oci::DiffId> chain;
  for (int i = 0; i < kLayers; ++i) {
    const auto pending = snapshots().Begin();
    WriteNodes(pending->fd(),
               {{Kind::kFile, "f" + std::to_string(i), std::to_string(i)},
                {Kind::kFile, "last", std::to_string(i)}},
               "");
    chain.push_back(Id(std::to_string(i)));
    pending->Commit(chain.back(), {});
  }
  const auto view = snapshots().View(chain);
  EXPECT_EQ(view->List("").size(), kLayers + 1u);
  EXPECT_EQ(fs::ReadFd(view->Open("last").get(), 10, ""), "498");
  const auto active = snapshots().Prepare(chain);
  const UniqueFd mount = MountOverlay(active->mount());
  ASSERT_TRUE(mount) << std::strerror(errno);
  EXPECT_EQ(fs::ReadFile(mount.get(), "last", 10), "498");
  EXPECT_EQ(fs::ListDir(mount.get()), view->List(""));
}

}  // namespace
}  // namespace imgbuild::store
