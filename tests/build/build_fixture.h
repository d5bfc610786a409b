// A build without a network, a container or a disk store: a Dockerfile's text
// and a directory in, an image in a memory store out.
#ifndef IMGBUILD_TESTS_BUILD_BUILD_FIXTURE_H_
#define IMGBUILD_TESTS_BUILD_BUILD_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "imgbuild/build/builder.h"
#include "imgbuild/dockerfile/parser.h"
#include "imgbuild/plan/planner.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/fake_clock.h"
#include "support/fake_executor.h"
#include "support/fake_registry.h"
#include "support/memory_store.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::build {

// Remembers what became of each step: "[2/3] RUN make": "cached".
class RecordingProgress : public ProgressSink {
 public:
  VertexId AddVertex(const std::string& name) override {
    const std::scoped_lock lock(mutex_);
    names_.push_back(name);
    return static_cast<VertexId>(names_.size() - 1);
  }
  void Started(VertexId) override {}
  void Log(VertexId vertex, int, std::string_view bytes) override {
    const std::scoped_lock lock(mutex_);
    logs[names_[vertex]] += bytes;
  }
  void Progress(VertexId vertex, std::string_view what, uint64_t,
                uint64_t) override {
    const std::scoped_lock lock(mutex_);
    notes[names_[vertex]] = what;
  }
  void Finished(VertexId vertex, VertexOutcome outcome,
                const std::string&) override {
    static constexpr const char* kNames[] = {"done", "cached", "skipped",
                                             "error", "cancelled"};
    const std::scoped_lock lock(mutex_);
    outcomes[names_[vertex]] = kNames[static_cast<int>(outcome)];
  }
  void Message(const std::string&) override {}
  void Warning(const std::string&) override {}

  std::map<std::string, std::string> outcomes;
  std::map<std::string, std::string> notes;
  std::map<std::string, std::string> logs;

 private:
  std::mutex mutex_;
  std::vector<std::string> names_;
};

// No base image but scratch.
class NoImages : public plan::ImageResolver {
 public:
  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform&) override {
    throw Error(ErrorCode::kRegistry, "no image " + reference.Familiar());
  }
};

class BuildFixture : public ::testing::Test {
 protected:
  explicit BuildFixture(
      std::unique_ptr<store::Store> store = store::NewMemoryStore())
      : store_(std::move(store)) {}

  void WriteFile(const std::string& path, const std::string& text,
                 mode_t mode = 0644) {
    const size_t slash = path.rfind('/');
    if (slash != std::string::npos) {
      fs::MakeDirs(context_.fd(), path.substr(0, slash), 0755);
    }
    const UniqueFd file =
        fs::Open(context_.fd(), path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    fs::WriteAll(file.get(), AsBytes(text), path);
    ::fchmod(file.get(), mode);
  }

  // Runs of commands are recorded by `executor_`; `script_` stands for them.
  BuildResult Build(const std::string& dockerfile,
                    plan::PlanOptions options = {}, unsigned jobs = 4) {
    options.target_platform = oci::Platform::Parse("linux/amd64");
    options.build_platform = options.target_platform;
    NoImages resolver;
    const dockerfile::Dockerfile file = dockerfile::Parse(
        std::make_shared<SourceFile>("Dockerfile", dockerfile));
    const plan::BuildGraph graph = plan::Plan(file, options, resolver);
    progress_ = std::make_unique<RecordingProgress>();
    executor_ = std::make_unique<exec::FakeExecutor>(script_);
    BuildEnvironment environment{*store_,    transfer_, *executor_,
                                 *progress_, pool_,     CancelToken()};
    BuildRequest request{graph, {}, {}, "test", jobs, {}};
    request.slow_path = slow_path_;
    context::LocalContextOptions local;
    if (!slow_path_) local.stat_cache = &store_->stat_cache();
    request.contexts[""] = context::OpenLocalContext(
        context_fd_ < 0 ? context_.fd() : context_fd_, "the build context",
        std::move(local), pool_, environment.cancel);
    return Builder(environment).Build(request);
  }

  std::string FailureOf(const std::string& dockerfile) {
    try {
      Build(dockerfile);
    } catch (const Error& error) {
      return error.Render();
    }
    return "(nothing was thrown)\n";
  }

  // The merged files of a result.
  std::shared_ptr<const FileTree> Files(const BuildResult& result) {
    transfer_.EnsureUnpacked(result.layers);
    std::vector<oci::DiffId> chain;
    for (const auto& layer : result.layers) chain.push_back(layer.diff_id);
    return store_->snapshots().View(chain);
  }

  fs::TempDir context_ = fs::TempDir::InTmp();
  ThreadPool pool_{2};
  std::unique_ptr<store::Store> store_;
  bool slow_path_ = false;
  int context_fd_ = -1;  // of another one, which is used instead
  testing::FakeRegistry registry_;
  testing::ScriptedTransport transport_;
  testing::FakeClock clock_;
  testing::ClientUnderTest under_test_{transport_, clock_};
  CancelToken cancel_;
  transfer::Transfer transfer_{*store_, *under_test_.client, {}, cancel_};
  exec::FakeExecutor::Script script_;
  std::unique_ptr<exec::FakeExecutor> executor_;
  std::unique_ptr<RecordingProgress> progress_;
};

}  // namespace imgbuild::build

#endif  // IMGBUILD_TESTS_BUILD_BUILD_FIXTURE_H_
