// An Executor that runs no process: it records what it was asked and lets a
// function stand for the command.
#ifndef IMGBUILD_TESTS_SUPPORT_FAKE_EXECUTOR_H_
#define IMGBUILD_TESTS_SUPPORT_FAKE_EXECUTOR_H_

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/exec/executor.h"

namespace imgbuild::exec {

// What the stand-in for a command sees.
class FakeProcess {
 public:
  FakeProcess(const ProcessSpec& spec, const ExecIo& io,
              const CancelToken& cancel)
      : spec_(spec), io_(io), cancel_(cancel) {}

  const ProcessSpec& spec() const { return spec_; }
  // The last argument: of {"/bin/sh", "-c", "make"} that is "make".
  const std::string& command() const { return spec_.args.back(); }
  void Print(std::string_view text, int stream = 1) const;
  // Creates a file (and its parents) in the upper directory, as a command
  // that writes it would.
  void WriteFile(const std::string& path, std::string_view text,
                 unsigned mode = 0644) const;
  // Waits for the cancellation, then throws as an executor does.
  [[noreturn]] void WaitForCancel() const;

 private:
  const ProcessSpec& spec_;
  const ExecIo& io_;
  const CancelToken& cancel_;
};

class FakeExecutor : public Executor {
 public:
  using Script = std::function<ExitResult(const FakeProcess&)>;
  // Without a script every command succeeds and does nothing.
  explicit FakeExecutor(Script script = {}) : script_(std::move(script)) {}

  ExitResult Run(const ProcessSpec& spec, const ExecIo& io,
                 const CancelToken& cancel) override;

  // In the order of their starts.
  std::vector<ProcessSpec> specs() const;
  // The last argument of each.
  std::vector<std::string> commands() const;

 private:
  const Script script_;
  mutable std::mutex mutex_;
  std::vector<ProcessSpec> specs_;  // guarded by mutex_
};

}  // namespace imgbuild::exec

#endif  // IMGBUILD_TESTS_SUPPORT_FAKE_EXECUTOR_H_
