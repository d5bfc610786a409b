#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include "exec/cgroup.h"
#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

using testing::HasSubstr;

class LimitsTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string why = WhyNoContainers(); !why.empty()) {
      GTEST_SKIP() << why;
    }
    if (!FindProgram(GetParam())) {
      GTEST_SKIP() << GetParam() << " is not installed";
    }
    root_ = std::make_unique<BusyboxRoot>();
    executor_ = NewOciExecutor({root_->state_dir(), GetParam()});
  }
  BusyboxRoot::Outcome Run(const ProcessSpec& spec) {
    return BusyboxRoot::Run(*executor_, spec);
  }
  // Whether this host can enforce `limits`; if not, Run must refuse them.
  bool Enforced(const ResourceLimits& limits, const char* name) {
    try {
      LimitCgroups probe(limits, ReadCgroups(), NewCgroupName());
      return true;
    } catch (const Error& error) {
      ProcessSpec spec = root_->Spec("true");
      spec.limits = limits;
      try {
        Run(spec);
        ADD_FAILURE() << "a limit was ignored";
      } catch (const Error& refusal) {
        EXPECT_EQ(refusal.code(), ErrorCode::kHost);
        EXPECT_THAT(refusal.message(), HasSubstr(std::string("limit ") + name));
      }
      return false;
    }
  }

  std::unique_ptr<BusyboxRoot> root_;
  std::unique_ptr<Executor> executor_;
};

TEST_P(LimitsTest, TooMuchMemoryIsToldAsSuch) {
  ProcessSpec spec = root_->Spec("tail /dev/zero");
  spec.limits.memory_bytes = 32 << 20;
  spec.limits.memory_swap_bytes = 32 << 20;
  if (!Enforced(spec.limits, "memory")) return;
  // As a child of the shell, so that the shell reports the signal.
  ExitResult result = Run(spec).result;
  EXPECT_EQ(result.exit_code, 137);
  // runc removes the cgroup, and with it the count, before it ends.
  EXPECT_EQ(result.out_of_memory, GetParam() == std::string("crun"));
  ProcessSpec fine = root_->Spec("exit 3");
  fine.limits = spec.limits;
  result = Run(fine).result;
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(result.out_of_memory);
}

TEST_P(LimitsTest, TooManyProcessesAreRefused) {
  ProcessSpec spec = root_->Spec(
      "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do "
      "sleep 5 & done; echo all");
  spec.limits.pids = 8;
  if (!Enforced(spec.limits, "pids")) return;
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_THAT(outcome.err, HasSubstr("can't fork"));
  EXPECT_EQ(outcome.out, "");
}

TEST_P(LimitsTest, ACpuQuotaIsATenthOfTheTime) {
  // Works for a while, then prints the CPU time it took, in ticks.
  ProcessSpec spec = root_->Spec(
      "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; "
      "set -- $(cat /proc/1/stat); echo $((${14} + ${15}))");
  spec.limits.cpu_quota_us = 10000;
  if (!Enforced(spec.limits, "cpu")) return;
  auto start = std::chrono::steady_clock::now();
  BusyboxRoot::Outcome outcome = Run(spec);
  double wall =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  std::optional<uint64_t> ticks = ParseUint(Trim(outcome.out));
  ASSERT_TRUE(ticks) << outcome.out << outcome.err;
  double cpu =
      static_cast<double>(*ticks) / static_cast<double>(sysconf(_SC_CLK_TCK));
  // A busy machine only makes it more.
  EXPECT_GT(wall, 5 * cpu);
  EXPECT_GT(cpu, 0.02);
}

TEST_P(LimitsTest, UlimitsAreSet) {
  ProcessSpec spec = root_->Spec("ulimit -Sn; ulimit -Hn; ulimit -c");
  spec.limits.ulimits = {{"nofile", 100, 200}, {"core", 0, 0}};
  EXPECT_EQ(Run(spec).out, "100\n200\n0\n");
}

TEST_P(LimitsTest, UnknownUlimitsAreRefused) {
  ProcessSpec spec = root_->Spec("true");
  spec.limits.ulimits = {{"nosuch", 1, 1}};
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.message(), "ulimit: no such limit \"nosuch\"");
  }
}

TEST_P(LimitsTest, ASoftLimitAboveTheHardOneIsRefused) {
  ProcessSpec spec = root_->Spec("true");
  spec.limits.ulimits = {{"nofile", 200, 100}};
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "ulimit nofile: the soft limit 200 is above the hard limit 100");
  }
}

TEST_P(LimitsTest, SharedMemoryHasItsSize) {
  ProcessSpec spec = root_->Spec(
      "dd if=/dev/zero of=/dev/shm/f bs=1024 count=4096 2>/dev/null; "
      "stat -c %s /dev/shm/f");
  spec.limits.shm_bytes = 1 << 20;
  EXPECT_EQ(Run(spec).out, "1048576\n");
}

TEST_P(LimitsTest, SwapNeedsAMemoryLimit) {
  ProcessSpec spec = root_->Spec("true");
  spec.limits.memory_swap_bytes = 1 << 20;
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.message(),
              "limit memory-swap: needs a memory limit as well");
  }
}

// What a killed process left behind is swept by the next.
TEST_P(LimitsTest, NoCgroupIsLeft) {
  std::vector<CgroupHierarchy> hierarchies = ReadCgroups();
  ProcessSpec spec = root_->Spec("true");
  spec.limits.pids = 100;
  if (!Enforced(spec.limits, "pids")) return;
  Run(spec);
  executor_.reset();
  std::string prefix = "imgbuild-" + std::to_string(getpid()) + "-";
  for (const CgroupHierarchy& hierarchy : hierarchies) {
    UniqueFd dir = fs::OpenIfExists(AT_FDCWD, hierarchy.own_directory,
                                    O_RDONLY | O_DIRECTORY);
    if (!dir) continue;
    for (const std::string& name : fs::ListDir(dir.get())) {
      EXPECT_FALSE(name.starts_with(prefix)) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Runtimes, LimitsTest, testing::Values("crun", "runc"),
                         [](const auto& param) {
                           return std::string(param.param);
                         });

}  // namespace
}  // namespace imgbuild::exec
