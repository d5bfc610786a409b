#include "exec/runtime_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

namespace imgbuild::exec {
namespace {

using Json = nlohmann::json;
using testing::ElementsAre;

class RuntimeSpecTest : public testing::Test {
 protected:
  RuntimeSpecTest() {
    spec_.args = {"/bin/sh", "-c", "true"};
    spec_.env = {"PATH=/bin"};
    layout_.rootfs = "/run/root";
    layout_.capabilities = 1;
    layout_.seccomp_json = R"({"defaultAction":"SCMP_ACT_ERRNO"})";
  }
  Json Make() { return Json::parse(MakeRuntimeSpec(spec_, layout_)); }
  // The mount at `target`, null when there is none.
  static Json MountAt(const Json& config, const std::string& target) {
    for (const Json& mount : config["mounts"]) {
      if (mount["destination"] == target) return mount;
    }
    return nullptr;
  }

  ProcessSpec spec_;
  RuntimeLayout layout_;
};

TEST_F(RuntimeSpecTest, AnOrdinaryProcess) {
  spec_.cwd = "/work";
  spec_.user = {1000, 1001, {5, 6}};
  Json config = Make();
  EXPECT_EQ(config["process"], Json::parse(R"({
    "terminal": false,
    "user": {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]},
    "args": ["/bin/sh", "-c", "true"],
    "env": ["PATH=/bin", "HOME=/"],
    "cwd": "/work",
    "capabilities": {"bounding": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"],
                     "permitted": ["CAP_CHOWN"]},
    "noNewPrivileges": false})"));
  EXPECT_EQ(config["root"],
            Json::parse(R"({"path": "/run/root", "readonly": false})"));
  EXPECT_EQ(config["hostname"], "imgbuild");
  EXPECT_EQ(config["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
  EXPECT_EQ(config["linux"]["namespaces"],
            Json::parse(R"([{"type": "pid"}, {"type": "ipc"}, {"type": "uts"},
                            {"type": "cgroup"}, {"type": "mount"}])"));
  EXPECT_FALSE(config.contains("annotations"));
}

TEST_F(RuntimeSpecTest, TheSystemMounts) {
  spec_.limits.shm_bytes = 1024;
  Json config = Make();
  std::vector<std::string> targets;
  for (const Json& mount : config["mounts"]) {
    targets.push_back(mount["destination"]);
  }
  EXPECT_THAT(targets, ElementsAre("/proc", "/dev", "/dev/pts", "/dev/mqueue",
                                   "/dev/shm", "/sys", "/sys/fs/cgroup"));
  EXPECT_EQ(MountAt(config, "/dev/shm")["options"],
            Json::parse(R"(["nosuid", "noexec", "nodev", "mode=1777",
                            "size=1024"])"));
  EXPECT_EQ(MountAt(config, "/sys")["options"],
            Json::parse(R"(["nosuid", "noexec", "nodev", "ro"])"));
}

TEST_F(RuntimeSpecTest, OwnMountsAreSortedByDepth) {
  Mount deep;
  deep.target = "/a/b/c";
  Mount tmpfs;
  tmpfs.type = Mount::Type::kTmpfs;
  tmpfs.target = "/a";
  tmpfs.tmpfs_size = 4096;
  tmpfs.tmpfs_mode = 0700;
  tmpfs.read_only = true;
  spec_.mounts = {deep, tmpfs};
  layout_.mount_sources = {"/run/bind0", ""};
  layout_.injected = {{"/run/hosts", "/etc/hosts"}};
  Json config = Make();
  std::vector<std::string> own;
  for (size_t i = 7; i < config["mounts"].size(); ++i) {
    own.push_back(config["mounts"][i]["destination"]);
  }
  EXPECT_THAT(own, ElementsAre("/a", "/etc/hosts", "/a/b/c"));
  EXPECT_EQ(MountAt(config, "/a"),
            Json::parse(R"({"destination": "/a", "type": "tmpfs",
      "source": "tmpfs",
      "options": ["nosuid", "nodev", "mode=700", "size=4096", "ro"]})"));
  EXPECT_EQ(MountAt(config, "/a/b/c"),
            Json::parse(R"({"destination": "/a/b/c", "type": "bind",
      "source": "/run/bind0", "options": ["rbind", "rprivate", "rw"]})"));
}

TEST_F(RuntimeSpecTest, PrivilegedHasNoRestrictions) {
  spec_.privileged = true;
  layout_.seccomp_program = "x";
  layout_.devices = {{"/dev/fuse", false, 10, 229, 0666}};
  Json config = Make();
  EXPECT_FALSE(config["linux"].contains("seccomp"));
  EXPECT_FALSE(config["linux"].contains("maskedPaths"));
  EXPECT_FALSE(config["linux"].contains("readonlyPaths"));
  EXPECT_FALSE(config.contains("annotations"));
  EXPECT_EQ(MountAt(config, "/sys")["options"],
            Json::parse(R"(["nosuid", "noexec", "nodev"])"));
  EXPECT_EQ(config["linux"]["devices"][0],
            Json::parse(R"({"path": "/dev/fuse", "type": "c", "major": 10,
      "minor": 229, "fileMode": 438, "uid": 0, "gid": 0})"));
}

TEST_F(RuntimeSpecTest, TheCompiledFilterIsAnAnnotationBesideTheObject) {
  layout_.seccomp_program = std::string("\x00\xff\x10\x20", 4);
  Json config = Make();
  EXPECT_EQ(config["annotations"]["run.oci.seccomp_bpf_data"], "AP8QIA==");
  EXPECT_TRUE(config["linux"]["seccomp"].is_object());
}

// The profile is spliced in as text: a command cannot forge its place.
TEST_F(RuntimeSpecTest, AnArgumentCannotTakeTheProfilesPlace) {
  spec_.args = {R"("seccomp":null)", R"(\"seccomp\":null)"};
  Json config = Make();
  EXPECT_EQ(config["process"]["args"][0], R"("seccomp":null)");
  EXPECT_EQ(config["linux"]["seccomp"]["defaultAction"], "SCMP_ACT_ERRNO");
}

TEST_F(RuntimeSpecTest, Terminals) {
  layout_.terminal = true;
  layout_.terminal_rows = 24;
  layout_.terminal_columns = 80;
  Json config = Make();
  EXPECT_EQ(config["process"]["terminal"], true);
  EXPECT_EQ(config["process"]["consoleSize"],
            Json::parse(R"({"height": 24, "width": 80})"));
}

TEST_F(RuntimeSpecTest, WithoutTheTtyGroupNoGroupIsAskedFor) {
  layout_.tty_group = false;
  EXPECT_EQ(MountAt(Make(), "/dev/pts")["options"].dump().find("gid"),
            std::string::npos);
}

TEST_F(RuntimeSpecTest, AnInitRunsTheCommand) {
  spec_.init = true;
  layout_.init_program = "/run/init";
  Json config = Make();
  EXPECT_EQ(config["process"]["args"],
            Json::parse(R"(["/dev/init", "--", "/bin/sh", "-c", "true"])"));
  EXPECT_EQ(MountAt(config, "/dev/init")["source"], "/run/init");
}

TEST_F(RuntimeSpecTest, UlimitsAndTheRest) {
  spec_.limits.ulimits = {{"nofile", 10, 20}};
  spec_.no_new_privileges = true;
  spec_.read_only_rootfs = true;
  spec_.hostname = "box";
  layout_.new_network_namespace = true;
  Json config = Make();
  EXPECT_EQ(config["process"]["rlimits"],
            Json::parse(R"([{"type": "RLIMIT_NOFILE", "soft": 10,
                             "hard": 20}])"));
  EXPECT_EQ(config["process"]["noNewPrivileges"], true);
  EXPECT_EQ(config["root"]["readonly"], true);
  EXPECT_EQ(config["hostname"], "box");
  EXPECT_EQ(config["linux"]["namespaces"].back()["type"], "network");
}

TEST_F(RuntimeSpecTest, ARuntimeWithCgroupsOfItsOwnGetsTheLimits) {
  EXPECT_FALSE(Make()["linux"].contains("resources"));
  layout_.runtime_cgroups = true;
  spec_.limits.memory_bytes = 1000;
  spec_.limits.memory_swap_bytes = -1;
  spec_.limits.cpu_quota_us = 5;
  spec_.limits.pids = 7;
  EXPECT_EQ(Make()["linux"]["resources"],
            Json::parse(R"({"devices": [{"allow": false, "access": "rwm"}],
      "memory": {"limit": 1000, "swap": -1},
      "cpu": {"quota": 5, "period": 100000}, "pids": {"limit": 7}})"));
}

TEST_F(RuntimeSpecTest, HostNetworkWithoutItsRightsBindsSys) {
  layout_.bind_sys = true;
  EXPECT_EQ(MountAt(Make(), "/sys"),
            Json::parse(R"({"destination": "/sys", "type": "bind",
      "source": "/sys",
      "options": ["nosuid", "noexec", "nodev", "ro", "rbind"]})"));
}

TEST_F(RuntimeSpecTest, WhatIsNotUtf8IsAStepError) {
  spec_.args = {"\xff"};
  try {
    Make();
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kStep);
    EXPECT_EQ(error.message(),
              "run: an argument, variable or path is not valid UTF-8");
  }
}

TEST_F(RuntimeSpecTest, HomeIsAddedOnlyWhenMissing) {
  spec_.home = "/root";
  EXPECT_THAT(ProcessEnv(spec_), ElementsAre("PATH=/bin", "HOME=/root"));
  spec_.env = {"HOME=", "A=1"};
  EXPECT_THAT(ProcessEnv(spec_), ElementsAre("HOME=", "A=1"));
}

}  // namespace
}  // namespace imgbuild::exec
