#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class MountsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    root_ = std::make_unique<BusyboxRoot>();
    executor_ = NewOciExecutor({root_->state_dir(), ""});
  }
  BusyboxRoot::Outcome Run(const ProcessSpec& spec) {
    return BusyboxRoot::Run(*executor_, spec);
  }
  static Mount Bind(const std::string& source, const std::string& target) {
    Mount mount;
    mount.source = source;
    mount.target = target;
    return mount;
  }
  static Mount Tmpfs(const std::string& target) {
    Mount mount;
    mount.type = Mount::Type::kTmpfs;
    mount.target = target;
    return mount;
  }

  std::unique_ptr<BusyboxRoot> root_;
  std::unique_ptr<Executor> executor_;
};

TEST_F(MountsTest, ABindShowsItsSource) {
  std::string source = root_->MakeOutside("data");
  root_->WriteFile(source + "/f", "content\n");
  ProcessSpec spec = root_->Spec("cat /data/f; echo new > /data/g");
  spec.mounts = {Bind(source, "/data")};
  EXPECT_EQ(Run(spec).out, "content\n");
  UniqueFd dir = fs::OpenDir(AT_FDCWD, source);
  EXPECT_EQ(fs::ReadFile(dir.get(), "g", 100), "new\n");
  // The target was missing: a stub stood in, nothing got into the layer.
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, AReadOnlyBindTakesNoWrites) {
  std::string source = root_->MakeOutside("data");
  ProcessSpec spec = root_->Spec("echo new > /data/g");
  spec.mounts = {Bind(source, "/data")};
  spec.mounts[0].read_only = true;
  EXPECT_THAT(Run(spec).err, HasSubstr("Read-only file system"));
}

TEST_F(MountsTest, AFileIsMountedOnAFile) {
  std::string source = root_->MakeOutside("data");
  root_->WriteFile(source + "/secret", "s3cret\n", 0400);
  ProcessSpec spec =
      root_->Spec("cat /run/secrets/one; stat -c %a /run/secrets/one");
  spec.mounts = {Bind(source + "/secret", "/run/secrets/one")};
  spec.mounts[0].target_is_file = true;
  spec.mounts[0].read_only = true;
  EXPECT_EQ(Run(spec).out, "s3cret\n400\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, ADescriptorIsASource) {
  std::string source = root_->MakeOutside("data");
  root_->WriteFile(source + "/f", "content\n");
  UniqueFd fd = fs::OpenDir(AT_FDCWD, source);
  ProcessSpec spec = root_->Spec("cat /data/f");
  spec.mounts = {Bind("/proc/self/fd/" + std::to_string(fd.get()), "/data")};
  EXPECT_EQ(Run(spec).out, "content\n");
}

TEST_F(MountsTest, AMemoryFileIsASource) {
  UniqueFd fd(memfd_create("secret", MFD_CLOEXEC));
  fs::WriteAll(fd.get(), AsBytes("s3cret\n"), "memfd");
  ASSERT_EQ(fchmod(fd.get(), 0440), 0);
  ASSERT_EQ(fchown(fd.get(), 0, 1000), 0);
  ProcessSpec spec = root_->Spec("cat /secret; stat -c '%a %g' /secret");
  spec.user = {1000, 1000, {}};
  spec.mounts = {Bind("/proc/self/fd/" + std::to_string(fd.get()), "/secret")};
  spec.mounts[0].target_is_file = true;
  spec.mounts[0].read_only = true;
  EXPECT_EQ(Run(spec).out, "s3cret\n440 1000\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, AMissingSourceIsNamed) {
  ProcessSpec spec = root_->Spec("true");
  spec.mounts = {Bind("/no/such/source", "/data")};
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "open mount source \"/no/such/source\": no such "
              "file or directory");
  }
}

TEST_F(MountsTest, ATmpfsHasItsModeAndSize) {
  ProcessSpec spec = root_->Spec(
      "stat -c %a /scratch; dd if=/dev/zero of=/scratch/f bs=1024 count=2048 "
      "2>/dev/null; stat -c %s /scratch/f");
  spec.mounts = {Tmpfs("/scratch")};
  spec.mounts[0].tmpfs_mode = 0700;
  spec.mounts[0].tmpfs_size = 1 << 20;
  EXPECT_EQ(Run(spec).out, "700\n1048576\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, AParentNeverHidesAMountBelowIt) {
  std::string source = root_->MakeOutside("data");
  root_->WriteFile(source + "/f", "content\n");
  ProcessSpec spec = root_->Spec("cat /a/b/f; ls /a");
  spec.mounts = {Bind(source, "/a/b"), Tmpfs("/a")};
  EXPECT_EQ(Run(spec).out, "content\nb\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, TargetsInDevNeedNoStub) {
  ProcessSpec spec = root_->Spec("cat /dev/pipes/EOF");
  std::string source = root_->MakeOutside("pipes");
  root_->WriteFile(source + "/EOF", "script\n", 0755);
  spec.mounts = {Bind(source + "/EOF", "/dev/pipes/EOF")};
  spec.mounts[0].target_is_file = true;
  EXPECT_EQ(Run(spec).out, "script\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, AProgramFromAMountCanBeRun) {
  std::string source = root_->MakeOutside("tools");
  root_->WriteFile(source + "/hello", "#!/bin/sh\necho hello\n", 0755);
  ProcessSpec spec = root_->Spec("");
  spec.args = {"/tools/hello"};
  spec.mounts = {Bind(source, "/tools")};
  EXPECT_EQ(Run(spec).out, "hello\n");
}

TEST_F(MountsTest, TheWrongTypeOfTargetIsAStepError) {
  root_->WriteFile("thing", "");
  ProcessSpec spec = root_->Spec("true");
  spec.mounts = {Tmpfs("/thing")};
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStep);
    EXPECT_EQ(error.message(),
              "mount target \"/thing\" is not a directory in "
              "the root file system");
  }
}

TEST_F(MountsTest, TheRootIsNoTarget) {
  ProcessSpec spec = root_->Spec("true");
  spec.mounts = {Tmpfs("/a/..")};
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
  }
}

// ---- Stubs ----

TEST_F(MountsTest, AStubsParentLooksLikeTheImages) {
  root_->WriteFile("home/me/file", "x");
  ASSERT_EQ(chmod(root_->layer_path("home/me").c_str(), 0710), 0);
  ASSERT_EQ(chown(root_->layer_path("home/me").c_str(), 1000, 1001), 0);
  ASSERT_EQ(
      setxattr(root_->layer_path("home/me").c_str(), "user.tag", "v", 1, 0), 0);
  ProcessSpec spec = root_->Spec(
      "stat -c '%a %u %g' /home/me; ls /home/me; stat -c %a /home/me/.cache");
  spec.mounts = {Tmpfs("/home/me/.cache")};
  spec.mounts[0].tmpfs_mode = 0755;
  EXPECT_EQ(Run(spec).out, "710 1000 1001\nfile\n755\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

// A whiteout or an opaque directory of a higher layer hides the bottom stub.
TEST_F(MountsTest, AnOpaqueEtcStillGetsItsFiles) {
  std::string top = root_->MakeOutside("top");
  ASSERT_EQ(mkdir((top + "/etc").c_str(), 0755), 0);
  ASSERT_EQ(
      setxattr((top + "/etc").c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  ASSERT_EQ(mknod((top + "/sys").c_str(), S_IFCHR, makedev(0, 0)), 0);
  root_->WriteFile("etc/old", "x");
  ProcessSpec spec = root_->Spec("ls /etc; ls -d /sys/kernel");
  spec.rootfs.lower.insert(spec.rootfs.lower.begin(), top);
  EXPECT_EQ(Run(spec).out, "hostname\nhosts\nresolv.conf\n/sys/kernel\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
  UniqueFd state = fs::OpenDir(AT_FDCWD, root_->state_dir());
  EXPECT_THAT(fs::ListDir(state.get()), ElementsAre("run", "stub"));
}

TEST_F(MountsTest, ADanglingResolvConfIsProvidedWhereItPoints) {
  root_->Link("../run/systemd/resolve/stub-resolv.conf", "etc/resolv.conf");
  ProcessSpec spec = root_->Spec(
      "readlink /etc/resolv.conf; stat -c %F "
      "/run/systemd/resolve/stub-resolv.conf");
  EXPECT_EQ(Run(spec).out,
            "../run/systemd/resolve/stub-resolv.conf\nregular empty file\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, TheImagesOwnFilesAreHiddenAndKept) {
  root_->WriteFile("etc/hosts", "image\n");
  root_->WriteFile("etc/resolv.conf", "image\n");
  ProcessSpec spec = root_->Spec("head -n 1 /etc/hosts; cat /etc/resolv.conf");
  EXPECT_EQ(Run(spec).out, "127.0.0.1\tlocalhost imgbuild\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, AnOddEtcIsLeftAlone) {
  // A directory where a file should be, a link to a device, a file as /etc.
  ASSERT_EQ(mkdir(root_->layer_path("etc").c_str(), 0755), 0);
  ASSERT_EQ(mkdir(root_->layer_path("etc/hosts").c_str(), 0755), 0);
  root_->Link("/dev/null", "etc/resolv.conf");
  ProcessSpec spec = root_->Spec("stat -c %F /etc/hosts; cat /etc/hostname");
  EXPECT_EQ(Run(spec).out, "directory\nimgbuild\n");
  BusyboxRoot other;
  other.WriteFile("etc", "a file\n");
  EXPECT_EQ(BusyboxRoot::Run(*executor_, other.Spec("cat /etc")).out,
            "a file\n");
}

TEST_F(MountsTest, AnEmptyImageHasItsMountPoints) {
  ProcessSpec spec = root_->Spec("");
  std::string tools = root_->layer() + "/bin";
  spec.rootfs.lower.clear();
  spec.mounts = {Bind(tools, "/bin")};
  spec.args = {"/bin/sh", "-c", "ls /"};
  EXPECT_EQ(Run(spec).out, "bin\ndev\netc\nproc\nsys\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(MountsTest, WritesBesideAStubAreTheLayers) {
  ProcessSpec spec = root_->Spec("echo x > /cache/own; echo y > /etc/new");
  spec.mounts = {Tmpfs("/cache/pip")};
  EXPECT_EQ(Run(spec).result.exit_code, 0);
  EXPECT_THAT(BusyboxRoot::Upper(spec), ElementsAre("cache", "etc"));
  UniqueFd upper = fs::OpenDir(AT_FDCWD, spec.rootfs.upper + "/cache");
  EXPECT_THAT(fs::ListDir(upper.get()), ElementsAre("own"));
}

// T19: the source is opened once; what its name means later does not matter.
TEST_F(MountsTest, ASourceThatIsSwappedMeanwhileLeadsNowhereElse) {
  std::string base = root_->MakeOutside("race");
  std::string secret = root_->MakeOutside("secret");
  root_->WriteFile(secret + "/f", "secret\n");
  root_->WriteFile(base + "/good/f", "good\n");
  UniqueFd dir = fs::OpenDir(AT_FDCWD, base);
  std::atomic<bool> stop = false;
  std::thread swapper([&] {
    ASSERT_EQ(symlinkat(secret.c_str(), dir.get(), "evil"), 0);
    while (!stop) {
      renameat2(dir.get(), "good", dir.get(), "evil", RENAME_EXCHANGE);
    }
  });
  for (int i = 0; i < 20; ++i) {
    // As a caller does: resolved in root, without links, to a descriptor.
    UniqueFd fd(openat(dir.get(), "good",
                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) continue;
    ProcessSpec spec = root_->Spec("cat /data/f");
    spec.mounts = {Bind("/proc/self/fd/" + std::to_string(fd.get()), "/data")};
    EXPECT_EQ(Run(spec).out, "good\n");
  }
  stop = true;
  swapper.join();
}

TEST_F(MountsTest, MountsOfTheHostDoNotPropagateBack) {
  std::string source = root_->MakeOutside("shared");
  ProcessSpec spec = root_->Spec(
      "mkdir /data/m && mount -t tmpfs x /data/m && touch /data/m/f");
  spec.privileged = true;
  spec.mounts = {Bind(source, "/data")};
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.result.exit_code, 0) << outcome.err;
  UniqueFd dir = fs::OpenDir(AT_FDCWD, source + "/m");
  EXPECT_THAT(fs::ListDir(dir.get()), IsEmpty());
}

}  // namespace
}  // namespace imgbuild::exec
