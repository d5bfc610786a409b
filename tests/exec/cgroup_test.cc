#include "exec/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "imgbuild/util/error.h"

namespace imgbuild::exec {
namespace {

using testing::ElementsAre;

TEST(CgroupTest, AHybridHost) {
  std::vector<CgroupHierarchy> found = ParseCgroups(
      "22 27 0:21 / /proc rw - proc proc rw\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
      "35 31 0:32 / /sys/fs/cgroup/memory rw shared:4 - cgroup cgroup "
      "rw,memory\n"
      "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup "
      "rw,name=systemd\n"
      "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
      "46 45 0:29 / /srv/sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n",
      "9:name=systemd:/\n4:memory:/job/7\n1:cpu:/\n0::/a:b\n");
  ASSERT_EQ(found.size(), 4u);
  EXPECT_THAT(found[0].controllers, ElementsAre("cpu"));
  EXPECT_FALSE(found[0].v2);
  EXPECT_EQ(found[0].own_directory, "/sys/fs/cgroup/cpu");
  EXPECT_THAT(found[1].controllers, ElementsAre("memory"));
  EXPECT_EQ(found[1].own_directory, "/sys/fs/cgroup/memory/job/7");
  EXPECT_THAT(found[2].controllers, ElementsAre("name=systemd"));
  EXPECT_TRUE(found[3].v2);
  EXPECT_EQ(found[3].own_directory, "/sys/fs/cgroup/unified/a:b");
}

TEST(CgroupTest, APureHost) {
  std::vector<CgroupHierarchy> found = ParseCgroups(
      "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 "
      "rw,nsdelegate\n",
      "0::/user.slice/user-0.slice/session-3.scope\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].mount_point, "/sys/fs/cgroup");
  EXPECT_EQ(found[0].own_directory,
            "/sys/fs/cgroup/user.slice/user-0.slice/session-3.scope");
}

TEST(CgroupTest, ControllersThatShareAHierarchy) {
  std::vector<CgroupHierarchy> found = ParseCgroups(
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup "
      "rw,cpu,cpuacct\n",
      "1:cpu,cpuacct:/x\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_THAT(found[0].controllers, ElementsAre("cpu", "cpuacct"));
  EXPECT_EQ(found[0].own_directory, "/sys/fs/cgroup/cpu,cpuacct/x");
}

// In a container the hierarchy's root is not what is mounted.
TEST(CgroupTest, AMountedSubtree) {
  const char* self = "4:memory:/docker/abc/inner\n";
  EXPECT_EQ(ParseCgroups("5 4 0:3 /docker/abc /sys/fs/cgroup/memory rw - "
                         "cgroup cgroup rw,memory\n",
                         self)[0]
                .own_directory,
            "/sys/fs/cgroup/memory/inner");
  EXPECT_EQ(ParseCgroups("5 4 0:3 /elsewhere /sys/fs/cgroup/memory rw - "
                         "cgroup cgroup rw,memory\n",
                         self)[0]
                .own_directory,
            "/sys/fs/cgroup/memory");
}

TEST(CgroupTest, EscapedPathsAndBrokenLines) {
  std::vector<CgroupHierarchy> found = ParseCgroups(
      "garbage\n1 2 3 - x\n\n"
      "30 23 0:26 / /a\\040b rw - cgroup2 none rw\n",
      "garbage\n0::/\n");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].own_directory, "/a b");
}

TEST(CgroupTest, NamesDiffer) {
  EXPECT_NE(NewCgroupName(), NewCgroupName());
  EXPECT_THAT(NewCgroupName(),
              testing::StartsWith("imgbuild-" + std::to_string(getpid())));
}

TEST(CgroupTest, WhichLimitsNeedACgroup) {
  EXPECT_FALSE(HasCgroupLimits({}));
  ResourceLimits limits;
  limits.ulimits = {{"nofile", 1, 1}};
  limits.shm_bytes = 1;
  EXPECT_FALSE(HasCgroupLimits(limits));
  limits.pids = 1;
  EXPECT_TRUE(HasCgroupLimits(limits));
}

TEST(CgroupTest, WithoutAControllerALimitIsRefusedByName) {
  ResourceLimits limits;
  limits.memory_bytes = 1 << 20;
  try {
    LimitCgroups made(limits, {}, "x");
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "limit memory: cannot be enforced here: no cgroup with the "
              "controller \"memory\" can be made");
  }
}

}  // namespace
}  // namespace imgbuild::exec
