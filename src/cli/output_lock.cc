#include "cli/output_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <variant>

#include "imgbuild/lock/outputs.h"
#include "imgbuild/lock/update.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

namespace imgbuild::cli {
namespace {

// "" for the last stage, by whatever name it was asked for.
std::string TargetOf(const dockerfile::Dockerfile& file,
                     const plan::BuildGraph& graph,
                     const plan::PlanOptions& options) {
  if (options.target.empty()) return "";
  if (graph.target.empty()) return options.target;  // a number
  const auto& last = std::get<dockerfile::From>(file.stages.back().from.node);
  return last.name && last.name->text == graph.target ? "" : graph.target;
}

}  // namespace

OutputLock::OutputLock(const BuildLock& lock,
                       const std::map<std::string, std::string>& build_args,
                       bool record)
    : lock_(lock), record_(record) {
  if (lock.lock) variant_ = lock::VariantOf(*lock.lock, build_args);
  if (!record) return;
  if (!lock.lock) {
    throw Error(ErrorCode::kUsage,
                lock.path.empty()
                    ? "--record-output: this build uses no lock"
                    : fmt::format("--record-output: there is no {}", lock.path))
        .WithHint(fmt::format("`imgbuild lock{}` makes it", lock.flags));
  }
  // Of a fetched context there is only a copy, which goes with the build.
  if (!lock.writable) {
    throw Error(ErrorCode::kUsage,
                "--record-output: the lock of a context that is fetched cannot "
                "be written")
        .WithHint("--lockfile FILE names one on this machine");
  }
  if (!variant_) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--record-output: {} has no variant with these "
                            "--build-arg",
                            lock.path))
        .WithHint(fmt::format(
            "`imgbuild lock{} --variant NAME --build-arg …` adds one",
            lock.flags));
  }
}

void OutputLock::Check(const dockerfile::Dockerfile& file,
                       const plan::BuildGraph& graph,
                       const plan::PlanOptions& options,
                       const oci::Digest& made, ProgressSink& progress) const {
  if (record_ || !variant_) return;
  const lock::ExpectedOutput* expected =
      lock::FindOutput(*lock_.lock, TargetOf(file, graph, options),
                       graph.platform.ToString(), *variant_);
  if (expected == nullptr) return;
  if (expected->manifest == made)
    return progress.Message("output: as recorded");
  const std::string what = lock::DescribeMismatch(*lock_.lock, *expected, made);
  if (lock_.mode == build::LockMode::kPrefer) {
    return progress.Warning(what +
                            "; `imgbuild build --record-output` takes "
                            "this one from now on");
  }
  throw Error(ErrorCode::kPolicy, what)
      .At(expected->range)
      .WithNote("the image is in the store by its digest; no tag was moved")
      .WithHint("`imgbuild build --record-output` takes this one from now on");
}

void OutputLock::Record(const dockerfile::Dockerfile& file,
                        const plan::BuildGraph& graph,
                        const plan::PlanOptions& options,
                        const oci::Digest& made, ProgressSink& progress) const {
  if (!record_) return;
  std::optional<fs::FileLock> held;
  const std::string& holder = lock_.dockerfile_path;
  if (!holder.empty() && ::access(holder.c_str(), W_OK) == 0) {
    held.emplace(AT_FDCWD, holder, fs::FileLock::Mode::kExclusive);
  }
  // As it is now: the build may have taken long.
  std::optional<lock::Lockfile> lock = ReadLock(lock_.path);
  if (!lock) {
    throw Error(ErrorCode::kHost, fmt::format("{} is gone", lock_.path));
  }
  const std::string before = lock->source->text();
  lock::Put(*lock, lock::ExpectedOutput{TargetOf(file, graph, options),
                                        graph.platform.ToString(),
                                        *variant_,
                                        made,
                                        {},
                                        {}});
  const std::string text = lock::Format(*lock);
  if (text != before) fs::WriteFileAtomic(AT_FDCWD, lock_.path, text);
  progress.Message(fmt::format("output: {} in {}",
                               text == before ? "as recorded" : "recorded",
                               lock_.path));
}

}  // namespace imgbuild::cli
