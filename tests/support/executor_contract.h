// What every Executor does. Include in one test file of a binary and
// instantiate with a factory for each implementation.
#ifndef IMGBUILD_TESTS_SUPPORT_EXECUTOR_CONTRACT_H_
#define IMGBUILD_TESTS_SUPPORT_EXECUTOR_CONTRACT_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::exec {

// An executor and a root file system with a POSIX shell. Fakes have to know
// the commands of kContract below.
class ExecutorFixture {
 public:
  virtual ~ExecutorFixture() = default;
  virtual Executor& executor() = 0;
  // {"/bin/sh", "-c", command} with a fresh upper directory.
  virtual ProcessSpec Spec(const std::string& command) = 0;
};

namespace contract {
inline constexpr char kSucceed[] = "exit 0";
inline constexpr char kFail[] = "exit 7";
inline constexpr char kPrint[] = "echo out; echo err >&2";
inline constexpr char kWrite[] = "echo hello > /made";
inline constexpr char kSleep[] = "sleep 1000";
inline constexpr char kKilled[] = "sh -c 'kill -9 $$'; exit $?";
}  // namespace contract

struct ExecutorFactory {
  std::string name;
  std::function<std::unique_ptr<ExecutorFixture>()> make;
  // Why it cannot run here; empty when it can.
  std::function<std::string()> skip = [] { return std::string(); };
  friend void PrintTo(const ExecutorFactory& factory, std::ostream* out) {
    *out << factory.name;
  }
};

class ExecutorContract : public testing::TestWithParam<ExecutorFactory> {
 protected:
  void SetUp() override {
    if (std::string why = GetParam().skip(); !why.empty()) GTEST_SKIP() << why;
    fixture_ = GetParam().make();
  }
  ExitResult Run(const ProcessSpec& spec) {
    ExecIo io;
    io.on_output = [this](int stream, std::string_view bytes) {
      (stream == 1 ? out_ : err_).append(bytes);
    };
    return fixture_->executor().Run(spec, io, cancel_);
  }
  ExitResult Run(const char* command) { return Run(fixture_->Spec(command)); }

  std::unique_ptr<ExecutorFixture> fixture_;
  CancelToken cancel_;
  std::string out_;
  std::string err_;
};

TEST_P(ExecutorContract, SuccessIsZero) {
  ExitResult result = Run(contract::kSucceed);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.start_error, "");
  EXPECT_FALSE(result.out_of_memory);
}

TEST_P(ExecutorContract, ARunAfterDismissStartsAnew) {
  fixture_->executor().Dismiss();
  EXPECT_EQ(Run(contract::kFail).exit_code, 7);
  fixture_->executor().Dismiss();
  fixture_->executor().Dismiss();
  EXPECT_EQ(Run(contract::kFail).exit_code, 7);
}

TEST_P(ExecutorContract, TheExitCodeIsTheCommands) {
  EXPECT_EQ(Run(contract::kFail).exit_code, 7);
}

TEST_P(ExecutorContract, ASignalIs128More) {
  ExitResult result = Run(contract::kKilled);
  EXPECT_EQ(result.exit_code, 137);
  EXPECT_EQ(result.signal, 9);
}

TEST_P(ExecutorContract, TheStreamsAreKeptApart) {
  EXPECT_EQ(Run(contract::kPrint).exit_code, 0);
  EXPECT_EQ(out_, "out\n");
  EXPECT_EQ(err_, "err\n");
}

TEST_P(ExecutorContract, DescriptorsTakeTheOutputDirectly) {
  int out[2];
  int err[2];
  ASSERT_EQ(pipe2(out, O_CLOEXEC), 0);
  ASSERT_EQ(pipe2(err, O_CLOEXEC), 0);
  UniqueFd read_out(out[0]);
  UniqueFd write_out(out[1]);
  UniqueFd read_err(err[0]);
  UniqueFd write_err(err[1]);
  ExecIo io;
  io.stdout_fd = write_out.get();
  io.stderr_fd = write_err.get();
  io.on_output = [](int, std::string_view) { FAIL() << "called"; };
  fixture_->executor().Run(fixture_->Spec(contract::kPrint), io, cancel_);
  write_out.reset();
  write_err.reset();
  EXPECT_EQ(fs::ReadFd(read_out.get(), 100, "pipe"), "out\n");
  EXPECT_EQ(fs::ReadFd(read_err.get(), 100, "pipe"), "err\n");
}

TEST_P(ExecutorContract, WritesLandInTheUpperDirectoryAndNothingElseDoes) {
  ProcessSpec spec = fixture_->Spec(contract::kWrite);
  EXPECT_EQ(Run(spec).exit_code, 0);
  UniqueFd upper = fs::OpenDir(AT_FDCWD, spec.rootfs.upper);
  EXPECT_EQ(fs::ReadFile(upper.get(), "made", 100), "hello\n");
  EXPECT_EQ(fs::ListDir(upper.get()), std::vector<std::string>{"made"});
}

TEST_P(ExecutorContract, CancellationEndsItAndThrows) {
  std::thread later([this] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    cancel_.Cancel();
  });
  auto start = std::chrono::steady_clock::now();
  try {
    Run(contract::kSleep);
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  later.join();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
}

TEST_P(ExecutorContract, ACancelledTokenStartsNothing) {
  cancel_.Cancel();
  ProcessSpec spec = fixture_->Spec(contract::kWrite);
  EXPECT_THROW(Run(spec), Error);
  UniqueFd upper = fs::OpenDir(AT_FDCWD, spec.rootfs.upper);
  EXPECT_TRUE(fs::ListDir(upper.get()).empty());
}

TEST_P(ExecutorContract, NoCommandIsAUsageError) {
  ProcessSpec spec = fixture_->Spec("");
  spec.args.clear();
  try {
    Run(spec);
    ADD_FAILURE() << "did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_EQ(error.message(), "run: no command");
  }
}

TEST_P(ExecutorContract, RunsSideBySide) {
  std::vector<std::thread> threads;
  std::vector<int> codes(4, -1);
  for (int& code : codes) {
    threads.emplace_back([this, &code] {
      ExecIo io;
      code = fixture_->executor()
                 .Run(fixture_->Spec(contract::kFail), io, cancel_)
                 .exit_code;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(codes, std::vector<int>(4, 7));
}

}  // namespace imgbuild::exec

#endif  // IMGBUILD_TESTS_SUPPORT_EXECUTOR_CONTRACT_H_
