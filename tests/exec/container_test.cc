#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "support/busybox_root.h"

namespace imgbuild::exec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ContainerTest : public testing::Test {
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
  BusyboxRoot::Outcome Run(const std::string& command) {
    return Run(root_->Spec(command));
  }
  // The start error of running `args` as they are.
  ExitResult Start(std::vector<std::string> args) {
    ProcessSpec spec = root_->Spec("");
    spec.args = std::move(args);
    return Run(spec).result;
  }

  std::unique_ptr<BusyboxRoot> root_;
  std::unique_ptr<Executor> executor_;
};

TEST_F(ContainerTest, AnUnknownCommandIs127) {
  ExitResult result = Start({"nosuchcmd"});
  EXPECT_EQ(result.exit_code, 127);
  EXPECT_EQ(result.start_error,
            "exec: \"nosuchcmd\": executable file not found in $PATH");
}

TEST_F(ContainerTest, AMissingPathIs127) {
  ExitResult result = Start({"/no/such"});
  EXPECT_EQ(result.exit_code, 127);
  EXPECT_EQ(result.start_error,
            "exec: \"/no/such\": stat /no/such: no such file or directory");
}

TEST_F(ContainerTest, ADirectoryIs126) {
  ExitResult result = Start({"/bin"});
  EXPECT_EQ(result.exit_code, 126);
  EXPECT_EQ(result.start_error, "exec: \"/bin\": is a directory");
}

TEST_F(ContainerTest, AFileWithoutTheXBitIs126) {
  root_->WriteFile("script", "#!/bin/sh\n", 0644);
  ExitResult result = Start({"/script"});
  EXPECT_EQ(result.exit_code, 126);
  EXPECT_EQ(result.start_error, "exec: \"/script\": permission denied");
}

TEST_F(ContainerTest, AProgramThatAMountHidesIsTheRuntimesToReport) {
  ProcessSpec spec = root_->Spec("");
  spec.args = {"/hidden/prog"};
  Mount mount;
  mount.type = Mount::Type::kTmpfs;
  mount.target = "/hidden";
  spec.mounts = {mount};
  ExitResult result = Run(spec).result;
  EXPECT_EQ(result.exit_code, 127);
  EXPECT_THAT(result.start_error, HasSubstr("/hidden/prog"));
}

TEST_F(ContainerTest, AFailedStartLeavesNothingInTheUpperDirectory) {
  ProcessSpec spec = root_->Spec("");
  spec.args = {"nosuchcmd"};
  Run(spec);
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

// T28: exactly the given environment, and HOME.
TEST_F(ContainerTest, TheEnvironmentIsExactlyTheSpecs) {
  setenv("IMGBUILD_CANARY", "leaked", 1);
  ProcessSpec spec = root_->Spec("cat /proc/1/environ | tr '\\0' '\\n'");
  spec.env = {"PATH=/bin", "A=1 2", "B="};
  spec.home = "/home/me";
  BusyboxRoot::Outcome outcome = Run(spec);
  unsetenv("IMGBUILD_CANARY");
  EXPECT_EQ(outcome.out, "PATH=/bin\nA=1 2\nB=\nHOME=/home/me\n")
      << outcome.err;
}

TEST_F(ContainerTest, HomeOfTheSpecsEnvironmentStays) {
  ProcessSpec spec = root_->Spec("echo $HOME");
  spec.env.push_back("HOME=/mine");
  spec.home = "/other";
  EXPECT_EQ(Run(spec).out, "/mine\n");
}

// T17: three descriptors, and a working directory inside the root.
TEST_F(ContainerTest, NoDescriptorLeaks) {
  UniqueFd open_here = fs::OpenDir(AT_FDCWD, "/");
  UniqueFd inherited(dup(open_here.get()));  // without close-on-exec
  BusyboxRoot::Outcome outcome = Run("ls /proc/1/fd; pwd");
  EXPECT_EQ(outcome.out, "0\n1\n2\n/\n") << outcome.err;
}

// T17: CVE-2024-21626.
TEST_F(ContainerTest, AWorkingDirectoryThroughDescriptorsDoesNotLeaveTheRoot) {
  for (int fd = 3; fd < 12; ++fd) {
    ProcessSpec spec = root_->Spec("ls ../../../../.. ; pwd");
    spec.cwd = "/proc/self/fd/" + std::to_string(fd);
    try {
      BusyboxRoot::Outcome outcome = Run(spec);
      EXPECT_NE(outcome.result.exit_code, 0) << fd << ": " << outcome.out;
    } catch (const Error& error) {
      EXPECT_THAT(error.message(), HasSubstr("start container")) << fd;
    }
  }
}

TEST_F(ContainerTest, IgnoredAndBlockedSignalsAreNotInherited) {
  sighandler_t before = signal(SIGPIPE, SIG_IGN);
  sigset_t blocked;
  sigset_t old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &old);
  ProcessSpec spec = root_->Spec("");
  spec.args = {"grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"};
  BusyboxRoot::Outcome outcome = Run(spec);
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  signal(SIGPIPE, before);
  EXPECT_EQ(outcome.out,
            "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_F(ContainerTest, AMissingWorkingDirectoryIsMadeInTheContainer) {
  ProcessSpec spec = root_->Spec("pwd; stat -c '%a %u' .");
  spec.cwd = "/new/deep";
  EXPECT_EQ(Run(spec).out, "/new/deep\n755 0\n");
  EXPECT_THAT(BusyboxRoot::Upper(spec), ElementsAre("new"));
}

TEST_F(ContainerTest, TheUserAndTheGroupsAreTheSpecs) {
  ProcessSpec spec = root_->Spec("id -u; id -g; grep Groups /proc/self/status");
  spec.user = {1000, 1001, {7, 8}};
  EXPECT_EQ(Run(spec).out, "1000\n1001\nGroups:\t7 8 \n");
}

TEST_F(ContainerTest, RootHasNoExtraGroups) {
  EXPECT_EQ(Run("grep Groups /proc/self/status").out, "Groups:\t \n");
}

TEST_F(ContainerTest, AnOrdinaryUserMayReopenItsStreams) {
  ProcessSpec spec = root_->Spec("echo a > /dev/stdout; echo b > /dev/stderr");
  spec.user = {1000, 1000, {}};
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.out, "a\n");
  EXPECT_EQ(outcome.err, "b\n");
}

TEST_F(ContainerTest, StandardInputIsPassedOn) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]);
  {
    UniqueFd write_end(ends[1]);
    fs::WriteAll(write_end.get(), AsBytes("one\ntwo\n"), "pipe");
  }
  std::string out;
  ExecIo io;
  io.stdin_fd = read_end.get();
  io.on_output = [&](int, std::string_view bytes) { out.append(bytes); };
  executor_->Run(root_->Spec("cat"), io, CancelToken());
  EXPECT_EQ(out, "one\ntwo\n");
}

TEST_F(ContainerTest, WithoutInputReadsEnd) {
  EXPECT_EQ(Run("cat; echo done").out, "done\n");
}

TEST_F(ContainerTest, MuchOutputArrivesWhole) {
  BusyboxRoot::Outcome outcome = Run("seq 1 200000; seq 1 100000 >&2");
  EXPECT_EQ(outcome.out.size(), 1288895u);
  EXPECT_EQ(outcome.err.size(), 588895u);
  EXPECT_TRUE(outcome.out.ends_with("199999\n200000\n"));
}

TEST_F(ContainerTest, AProcessLeftBehindEndsWithTheCommand) {
  auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(Run("sleep 1000 & echo started").out, "started\n");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_F(ContainerTest, TheHostnameIsAConstantUnlessGiven) {
  EXPECT_EQ(Run("hostname; cat /etc/hostname").out, "imgbuild\nimgbuild\n");
  ProcessSpec spec = root_->Spec("hostname; cat /etc/hostname; cat /etc/hosts");
  spec.hostname = "box";
  spec.extra_hosts = {{"db", "10.0.0.7"}};
  EXPECT_EQ(Run(spec).out,
            "box\nbox\n"
            "127.0.0.1\tlocalhost box\n"
            "::1\tlocalhost ip6-localhost ip6-loopback\n"
            "fe00::0\tip6-localnet\n"
            "ff00::0\tip6-mcastprefix\n"
            "ff02::1\tip6-allnodes\n"
            "ff02::2\tip6-allrouters\n"
            "10.0.0.7\tdb\n");
}

TEST_F(ContainerTest, AReadOnlyRootTakesNoWrites) {
  ProcessSpec spec = root_->Spec("echo x > /x");
  spec.read_only_rootfs = true;
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_NE(outcome.result.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("Read-only file system"));
}

TEST_F(ContainerTest, ARootWithoutAnUpperDirectoryIsReadOnly) {
  ProcessSpec spec = root_->Spec("cat /etc/hostname; echo x > /x");
  spec.rootfs.upper.clear();
  spec.rootfs.work.clear();
  BusyboxRoot::Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.out, "imgbuild\n");
  EXPECT_THAT(outcome.err, HasSubstr("Read-only file system"));
}

TEST_F(ContainerTest, AnUpperDirectoryIsUsedAgain) {
  ProcessSpec spec = root_->Spec("echo x >> /x; cat /x");
  EXPECT_EQ(Run(spec).out, "x\n");
  EXPECT_EQ(Run(spec).out, "x\nx\n");
}

TEST_F(ContainerTest, NothingIsLeftInTheStateDirectory) {
  Run("true");
  UniqueFd state = fs::OpenDir(AT_FDCWD, root_->state_dir());
  EXPECT_THAT(fs::ListDir(state.get()), ElementsAre("run", "stub"));
  UniqueFd run = fs::OpenDir(state.get(), "run");
  EXPECT_THAT(fs::ListDir(run.get()), IsEmpty());
}

TEST_F(ContainerTest, TheSameCommandLeavesTheSameUpperDirectory) {
  ProcessSpec spec = root_->Spec("true");
  Run(spec);
  EXPECT_THAT(BusyboxRoot::Upper(spec), IsEmpty());
}

TEST_F(ContainerTest, SignalsArePassedOn) {
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  std::string out;
  ExecIo io;
  io.signal_fd = read_end.get();
  io.on_output = [&](int, std::string_view bytes) {
    out.append(bytes);
    if (out == "ready\n") {
      const char number = SIGTERM;
      ASSERT_EQ(write(write_end.get(), &number, 1), 1);
    }
  };
  ExitResult result =
      executor_->Run(root_->Spec("trap 'echo got; exit 5' TERM; echo ready; "
                                 "while true; do sleep 0.05; done"),
                     io, CancelToken());
  EXPECT_EQ(out, "ready\ngot\n");
  EXPECT_EQ(result.exit_code, 5);
}

// Whatever kills imgbuild kills the container.
TEST_F(ContainerTest, NothingSurvivesAKilledProgram) {
  std::string marker = "31" + std::to_string(getpid());
  pid_t program = fork();
  ASSERT_GE(program, 0);
  if (program == 0) {
    std::unique_ptr<Executor> own = NewOciExecutor({root_->state_dir(), ""});
    ExecIo io;
    own->Run(root_->Spec("sleep " + marker + " & sleep " + marker), io,
             CancelToken());
    _exit(0);
  }
  auto count = [&] {
    int found = 0;
    UniqueFd proc = fs::OpenDir(AT_FDCWD, "/proc");
    for (const std::string& name : fs::ListDir(proc.get())) {
      if (!ParseUint(name)) continue;
      UniqueFd fd(openat(proc.get(), (name + "/cmdline").c_str(),
                         O_RDONLY | O_CLOEXEC));
      if (!fd) continue;
      char text[4096];
      ssize_t n = read(fd.get(), text, sizeof text);
      std::string_view line(text, n > 0 ? static_cast<size_t>(n) : 0);
      if (line == std::string("sleep\0", 6) + marker + '\0') ++found;
    }
    return found;
  };
  auto wait_for = [&](int wanted) {
    for (int i = 0; i < 200 && count() != wanted; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    return count();
  };
  EXPECT_EQ(wait_for(2), 2);
  kill(program, SIGKILL);
  waitpid(program, nullptr, 0);
  EXPECT_EQ(wait_for(0), 0);
}

TEST_F(ContainerTest, AnUnknownRuntimeIsAHostError) {
  std::unique_ptr<Executor> other =
      NewOciExecutor({root_->state_dir(), "no-such-runtime"});
  try {
    BusyboxRoot::Run(*other, root_->Spec("true"));
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "OCI runtime \"no-such-runtime\" is not installed");
  }
}

TEST_F(ContainerTest, ARelativeWorkingDirectoryIsRefused) {
  ProcessSpec spec = root_->Spec("true");
  spec.cwd = "tmp";
  try {
    Run(spec);
    FAIL() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "run: working directory \"tmp\" is not absolute");
  }
}

}  // namespace
}  // namespace imgbuild::exec
