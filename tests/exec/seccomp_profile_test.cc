#include "exec/seccomp_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include <nlohmann/json.hpp>

namespace imgbuild::exec {
namespace {

bool Allows(const std::vector<SeccompRule>& rules, const std::string& name) {
  return std::any_of(rules.begin(), rules.end(), [&](const SeccompRule& rule) {
    return rule.error == 0 && !rule.condition &&
           std::find(rule.names.begin(), rule.names.end(), name) !=
               rule.names.end();
  });
}

TEST(SeccompProfileTest, OrdinaryCallsAreAllowedAndDangerousAreNot) {
  std::vector<SeccompRule> rules = SeccompRules(DefaultCapabilities());
  for (const char* name : {"read", "openat", "execve", "futex", "chroot",
                           "mknod", "ptrace", "clock_gettime", "statx"}) {
    EXPECT_TRUE(Allows(rules, name)) << name;
  }
  for (const char* name : {"mount",
                           "umount2",
                           "unshare",
                           "setns",
                           "bpf",
                           "keyctl",
                           "add_key",
                           "kexec_load",
                           "init_module",
                           "reboot",
                           "swapon",
                           "userfaultfd",
                           "open_by_handle_at",
                           "clone",
                           "clone3",
                           "socket",
                           "personality",
                           "io_uring_setup",
                           "settimeofday",
                           "fsopen",
                           "move_mount"}) {
    EXPECT_FALSE(Allows(rules, name)) << name;
  }
}

TEST(SeccompProfileTest, CapabilitiesOpenTheirCalls) {
  EXPECT_TRUE(Allows(SeccompRules(ParseCapability("sys_admin")), "mount"));
  EXPECT_TRUE(Allows(SeccompRules(ParseCapability("sys_admin")), "clone3"));
  EXPECT_TRUE(Allows(SeccompRules(ParseCapability("sys_boot")), "reboot"));
  EXPECT_TRUE(Allows(SeccompRules(ParseCapability("sys_time")), "stime"));
  EXPECT_FALSE(Allows(SeccompRules(0), "chroot"));
}

TEST(SeccompProfileTest, Clone3AsksForClone) {
  for (const SeccompRule& rule : SeccompRules(0)) {
    if (rule.names == std::vector<std::string>{"clone3"}) {
      EXPECT_EQ(rule.error, ENOSYS);
      return;
    }
  }
  FAIL() << "no rule for clone3";
}

TEST(SeccompProfileTest, NoNameIsListedTwice) {
  std::set<std::string> seen;
  for (const SeccompRule& rule : SeccompRules(0)) {
    if (rule.condition) continue;
    for (const std::string& name : rule.names) {
      EXPECT_TRUE(seen.insert(name).second) << name;
      EXPECT_FALSE(name.empty());
    }
  }
}

TEST(SeccompProfileTest, TheJsonHasTheRuntimesForm) {
  nlohmann::json profile = nlohmann::json::parse(SeccompJson(SeccompRules(0)));
  EXPECT_EQ(profile["defaultAction"], "SCMP_ACT_ERRNO");
  EXPECT_EQ(profile["defaultErrnoRet"], EPERM);
  EXPECT_FALSE(profile["architectures"].empty());
  nlohmann::json clone;
  nlohmann::json clone3;
  for (const nlohmann::json& rule : profile["syscalls"]) {
    if (rule["names"][0] == "clone") clone = rule;
    if (rule["names"][0] == "clone3") clone3 = rule;
  }
  EXPECT_EQ(clone.dump(),
            R"({"action":"SCMP_ACT_ALLOW","args":[{"index":0,)"
            R"("op":"SCMP_CMP_MASKED_EQ","value":2114060288,"valueTwo":0}],)"
            R"("names":["clone"]})");
  EXPECT_EQ(clone3.dump(), R"({"action":"SCMP_ACT_ERRNO","errnoRet":38,)"
                           R"("names":["clone3"]})");
}

TEST(SeccompProfileTest, TheProgramIsWholeAndTheSameEachTime) {
  std::vector<SeccompRule> rules = SeccompRules(DefaultCapabilities());
  std::string program = CompileSeccomp(rules);
  EXPECT_EQ(program.size() % sizeof(sock_filter), 0u);
  EXPECT_GT(program.size() / sizeof(sock_filter), 100u);
  EXPECT_LE(program.size() / sizeof(sock_filter), size_t{BPF_MAXINSNS});
  EXPECT_EQ(program, CompileSeccomp(rules));
  EXPECT_NE(program, CompileSeccomp(SeccompRules(0)));
}

}  // namespace
}  // namespace imgbuild::exec
