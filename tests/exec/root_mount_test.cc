#include "imgbuild/exec/root_mount.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

class RootMountTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    for (const char* name : {"upper", "work", "state", "lower", "at"}) {
      fs::MakeDir(dir_.fd(), name, 0755);
    }
    Write("lower/f", "below");
    mount_.lower = {Path("lower")};
    mount_.upper = Path("upper");
    mount_.work = Path("work");
  }
  std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  void Write(const std::string& name, const std::string& text) {
    const UniqueFd fd =
        fs::Open(dir_.fd(), name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    fs::WriteAll(fd.get(), AsBytes(text), name);
  }
  static bool CanWrite(int root) {
    return fs::TryOpenInRoot(root, "new", O_WRONLY | O_CREAT, 0644).get() >= 0;
  }
  static std::string ReadInRoot(int root, const std::string& path) {
    return fs::ReadFd(fs::OpenInRoot(root, path, O_RDONLY).get(), 100, path);
  }
  // In a thread of its own, because it leaves the mount namespace.
  template <typename Work>
  static void Apart(Work work) {
    std::thread(work).join();
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
  store::OverlayMount mount_;
};

TEST_F(RootMountTest, WritesGoToTheUpperDirectory) {
  const auto root = MountPrivateRoot(mount_, {}, false, Path("state"));
  EXPECT_EQ(ReadInRoot(root->fd(), "f"), "below");
  EXPECT_TRUE(CanWrite(root->fd()));
  EXPECT_TRUE(fs::LstatIfExists(dir_.fd(), "upper/new"));
}

TEST_F(RootMountTest, ReadOnlyTakesNoWrites) {
  const auto root = MountPrivateRoot(mount_, {}, true, Path("state"));
  EXPECT_EQ(ReadInRoot(root->fd(), "f"), "below");
  EXPECT_FALSE(CanWrite(root->fd()));
  EXPECT_EQ(errno, EROFS);
}

TEST_F(RootMountTest, BindsAreSeenInItAndByNobodyElse) {
  fs::MakeDir(dir_.fd(), "volume", 0755);
  Write("volume/v", "of the volume");
  Write("file", "a file");
  Apart([&] {
    Mount directory;
    directory.source = Path("volume");
    directory.target = "/a/b";
    directory.read_only = true;
    Mount file;
    file.source = Path("file");
    file.target = "/a/c";
    const auto root =
        MountPrivateRoot(mount_, {directory, file}, false, Path("state"));
    EXPECT_EQ(ReadInRoot(root->fd(), "a/b/v"), "of the volume");
    EXPECT_EQ(ReadInRoot(root->fd(), "a/c"), "a file");
    EXPECT_FALSE(
        fs::TryOpenInRoot(root->fd(), "a/b/new", O_WRONLY | O_CREAT, 0644));
    EXPECT_TRUE(CanWrite(root->fd()));
  });
  // The mount points are all that is left.
  EXPECT_TRUE(fs::ListDir(fs::OpenDir(dir_.fd(), "upper/a/b").get()).empty());
  EXPECT_TRUE(fs::ListDir(fs::OpenDir(dir_.fd(), "state").get()).empty());
}

TEST_F(RootMountTest, ATargetThroughALinkStaysInside) {
  ASSERT_EQ(::symlinkat("/", dir_.fd(), "lower/up"), 0);
  fs::MakeDir(dir_.fd(), "volume", 0755);
  Apart([&] {
    Mount bind;
    bind.source = Path("volume");
    bind.target = "/up/../../x";
    const auto root = MountPrivateRoot(mount_, {bind}, false, Path("state"));
    EXPECT_TRUE(fs::TryOpenInRoot(root->fd(), "x", O_PATH | O_DIRECTORY));
  });
  EXPECT_TRUE(fs::LstatIfExists(dir_.fd(), "upper/x"));
}

TEST_F(RootMountTest, MountedForAll) {
  const std::string at = Path("at");
  EXPECT_FALSE(IsMountPoint(at));
  Write("upper/u", "above");
  MountReadOnly(mount_, at, Path("state"));
  EXPECT_TRUE(IsMountPoint(at));
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "at/u", 100), "above");
  EXPECT_EQ(fs::ReadFile(dir_.fd(), "at/f", 100), "below");
  EXPECT_NE(::access((at + "/u").c_str(), W_OK), 0);
  {
    const UniqueFd open = fs::Open(dir_.fd(), "at/f", O_RDONLY);
    try {
      UnmountRoot(at, false);
      ADD_FAILURE() << "did not throw";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kFailed);
    }
    EXPECT_TRUE(UnmountRoot(at, true));
  }
  EXPECT_FALSE(IsMountPoint(at));
  EXPECT_FALSE(UnmountRoot(at, false));
  EXPECT_FALSE(UnmountRoot(Path("nosuch"), false));
}

}  // namespace
}  // namespace imgbuild::exec
