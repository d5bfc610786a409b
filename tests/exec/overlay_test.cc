#include "exec/overlay.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

using testing::ElementsAre;

class OverlayTest : public testing::TestWithParam<OverlayApi> {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    for (const char* name : {"upper", "work", "scratch"}) {
      fs::MakeDir(dir_.fd(), name, 0755);
    }
  }
  // A layer with the file `name` that holds `text`.
  std::string Layer(const std::string& layer, const std::string& name,
                    const std::string& text) {
    fs::MakeDirs(dir_.fd(), layer, 0755);
    UniqueFd fd = fs::Open(dir_.fd(), layer + "/" + name,
                           O_WRONLY | O_CREAT | O_TRUNC, 0644);
    fs::WriteAll(fd.get(), AsBytes(text), name);
    return dir_.path() + "/" + layer;
  }
  store::OverlayMount Mount(std::vector<std::string> lower) {
    store::OverlayMount mount;
    mount.lower = std::move(lower);
    mount.upper = dir_.path() + "/upper";
    mount.work = dir_.path() + "/work";
    return mount;
  }
  UniqueFd Do(const store::OverlayMount& mount) {
    return MountOverlay(mount, dir_.path() + "/scratch", GetParam());
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
};

TEST_P(OverlayTest, TheFirstLayerIsOnTop) {
  UniqueFd root =
      Do(Mount({Layer("a", "f", "top"), Layer("b", "f", "bottom")}));
  EXPECT_EQ(fs::ReadFile(root.get(), "f", 100), "top");
}

TEST_P(OverlayTest, WritesGoToTheUpperDirectory) {
  UniqueFd root = Do(Mount({Layer("a", "f", "x")}));
  { UniqueFd fd = fs::Open(root.get(), "new", O_WRONLY | O_CREAT, 0644); }
  UniqueFd upper = fs::OpenDir(dir_.fd(), "upper");
  EXPECT_THAT(fs::ListDir(upper.get()), ElementsAre("new"));
}

TEST_P(OverlayTest, WithoutAnUpperDirectoryItIsReadOnly) {
  store::OverlayMount mount =
      Mount({Layer("a", "f", "x"), Layer("b", "g", "y")});
  mount.upper.clear();
  mount.work.clear();
  UniqueFd root = Do(mount);
  EXPECT_THAT(fs::ListDir(root.get()), ElementsAre("f", "g"));
  EXPECT_EQ(openat(root.get(), "new", O_WRONLY | O_CREAT, 0644), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST_P(OverlayTest, ItGoesWithItsDescriptor) {
  UniqueFd root = Do(Mount({Layer("a", "f", "x")}));
  root.reset();
  UniqueFd mounts = fs::Open(AT_FDCWD, "/proc/self/mountinfo", O_RDONLY);
  EXPECT_EQ(fs::ReadFd(mounts.get(), 16 << 20, "mounts").find(dir_.name()),
            std::string::npos);
}

TEST_P(OverlayTest, TheSameDirectoriesCanBeMountedAgain) {
  store::OverlayMount mount = Mount({Layer("a", "f", "x")});
  Do(mount).reset();
  UniqueFd root = Do(mount);
  EXPECT_EQ(fs::ReadFile(root.get(), "f", 100), "x");
}

TEST_P(OverlayTest, ManyLayers) {
  std::vector<std::string> lower;
  for (int i = 0; i < 400; ++i) {
    lower.push_back(Layer("layer-with-a-long-name-" + std::to_string(i),
                          std::to_string(i), "x"));
  }
  UniqueFd root = Do(Mount(lower));
  EXPECT_EQ(fs::ListDir(root.get()).size(), 400u);
}

// 500 of an image and a stub: more than the kernel stacks at once.
TEST_P(OverlayTest, MoreLayersThanOneOverlayTakes) {
  std::vector<std::string> lower;
  for (int i = 0; i < 520; ++i) {
    lower.push_back(Layer("l" + std::to_string(i), std::to_string(i), "x"));
  }
  Layer("l519", "same", "lowest");
  Layer("l510", "same", "higher");
  Layer("l519", "only", "lowest");
  UniqueFd root = Do(Mount(lower));
  EXPECT_EQ(fs::ListDir(root.get()).size(), 522u);
  EXPECT_EQ(fs::ReadFile(root.get(), "same", 100), "higher");
  EXPECT_EQ(fs::ReadFile(root.get(), "only", 100), "lowest");
}

TEST_P(OverlayTest, TooManyLayersAreRefused) {
  try {
    Do(Mount(std::vector<std::string>(1000, Layer("a", "f", "x"))));
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "mount overlay: 1000 layers are more than the "
              "999 that can be stacked");
  }
}

TEST_P(OverlayTest, OddPaths) {
  std::string deep(200, 'd');
  UniqueFd root = Do(Mount({Layer("with,comma:colon", "a", "1"),
                            Layer("back\\slash", "b", "2"),
                            Layer(deep + "/" + deep, "c", "3")}));
  EXPECT_THAT(fs::ListDir(root.get()), ElementsAre("a", "b", "c"));
}

TEST_P(OverlayTest, AMissingLayerIsNamed) {
  try {
    Do(Mount({dir_.path() + "/nosuch"}));
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_THAT(error.message(),
                testing::EndsWith("no such file or directory"));
  }
}

TEST_P(OverlayTest, NothingIsLeftInTheScratchDirectory) {
  UniqueFd root = Do(Mount({Layer("a", "f", "x")}));
  UniqueFd scratch = fs::OpenDir(dir_.fd(), "scratch");
  EXPECT_TRUE(fs::ListDir(scratch.get()).empty());
}

INSTANTIATE_TEST_SUITE_P(Apis, OverlayTest,
                         testing::Values(OverlayApi::kNewApi,
                                         OverlayApi::kMount),
                         [](const auto& param) {
                           return param.param == OverlayApi::kNewApi ? "NewApi"
                                                                     : "Mount";
                         });

}  // namespace
}  // namespace imgbuild::exec
