#include "imgbuild/util/process.h"

#include "support/busybox_root.h"
#include "support/executor_contract.h"
#include "support/fake_executor.h"

namespace imgbuild::exec {
namespace {

class RealFixture : public ExecutorFixture {
 public:
  explicit RealFixture(const std::string& runtime)
      : executor_(NewOciExecutor({root_.state_dir(), runtime})) {}
  Executor& executor() override { return *executor_; }
  ProcessSpec Spec(const std::string& command) override {
    return root_.Spec(command);
  }

 private:
  BusyboxRoot root_;
  std::unique_ptr<Executor> executor_;
};

// Knows the commands of the contract.
ExitResult PlayContract(const FakeProcess& process) {
  ExitResult result;
  const std::string& command = process.command();
  if (command == contract::kFail) result.exit_code = 7;
  if (command == contract::kKilled) {
    result.exit_code = 137;
    result.signal = 9;
  }
  if (command == contract::kPrint) {
    process.Print("out\n", 1);
    process.Print("err\n", 2);
  }
  if (command == contract::kWrite) process.WriteFile("made", "hello\n");
  if (command == contract::kSleep) process.WaitForCancel();
  return result;
}

class FakeFixture : public ExecutorFixture {
 public:
  FakeFixture() : executor_(PlayContract) {}
  Executor& executor() override { return executor_; }
  ProcessSpec Spec(const std::string& command) override {
    ProcessSpec spec;
    spec.args = {"/bin/sh", "-c", command};
    std::string name = "upper" + std::to_string(next_++);
    fs::MakeDir(dir_.fd(), name, 0755);
    spec.rootfs.upper = dir_.path() + "/" + name;
    return spec;
  }

 private:
  fs::TempDir dir_ = fs::TempDir::InTmp();
  std::atomic<int> next_ = 0;
  FakeExecutor executor_;
};

ExecutorFactory Real(const std::string& runtime) {
  return {runtime, [runtime] { return std::make_unique<RealFixture>(runtime); },
          [runtime]() -> std::string {
            if (!FindProgram(runtime)) return runtime + " is not installed";
            return WhyNoContainers();
          }};
}

INSTANTIATE_TEST_SUITE_P(
    Executors, ExecutorContract,
    testing::Values(Real("crun"), Real("runc"),
                    ExecutorFactory{
                        "fake",
                        [] { return std::make_unique<FakeFixture>(); }}),
    [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace imgbuild::exec
