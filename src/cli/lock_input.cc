#include "cli/lock_input.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>

#include "imgbuild/build/image_resolver.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/policed_plan.h"

namespace imgbuild::cli {
namespace {

std::optional<std::string> LockText(const BuildInput& input,
                                    const BuildFlags& flags,
                                    const std::string& path) {
  if (!flags.lockfile.empty()) {
    auto text =
        fs::ReadFileIfExists(AT_FDCWD, flags.lockfile, lock::kMaxLockBytes + 1);
    if (text) return text;
    throw Error(ErrorCode::kUsage,
                fmt::format("there is no lock at {}", Quoted(flags.lockfile)));
  }
  if (path.empty()) return std::nullopt;
  // Where the Dockerfile was read: inside the context, or by its path.
  int root = -1;
  std::string name = path;
  if (input.fetched) {
    root = input.fetched->root.get();
  } else if (flags.file.empty() && input.context_fd) {
    root = input.context_fd.get();
    name = path.substr(path.rfind('/') + 1);
  }
  if (root == -1) {
    return fs::ReadFileIfExists(AT_FDCWD, path, lock::kMaxLockBytes + 1);
  }
  const UniqueFd fd = fs::TryOpenInRoot(root, name, O_RDONLY | O_NONBLOCK);
  if (!fd) {
    const int error = errno;
    // A link that leads nowhere is a lock that was lost, and not none.
    if (error == ENOENT &&
        !fs::TryOpenInRoot(root, name, O_PATH | O_NOFOLLOW)) {
      return std::nullopt;
    }
    throw ErrnoError("open", path, error);
  }
  if (!S_ISREG(fs::Fstat(fd.get()).st_mode)) {
    throw Error(ErrorCode::kHost,
                "read " + Quoted(path) + ": not a regular file")
        .WithHint("--no-locked builds without a lock");
  }
  return fs::ReadFd(fd.get(), lock::kMaxLockBytes + 1, path);
}

std::string FlagsFor(const BuildInput& input) {
  const std::string& path = input.dockerfile_path;
  return path.empty() || path == "Dockerfile" ? "" : " -f " + path;
}

// What the lock says about digests besides names.
void CheckSettings(const BuildLock& lock, ProgressSink& progress) {
  const lock::Settings& settings = lock.lock->settings;
  if (settings.layer_format == 0 ||
      settings.layer_format == layer::kLayerFormat) {
    return;
  }
  const std::string text = fmt::format(
      "{} is for layer format {}; this imgbuild writes {}: digests will differ",
      lock.path, settings.layer_format, layer::kLayerFormat);
  if (lock.mode == build::LockMode::kPrefer) return progress.Warning(text);
  throw Error(ErrorCode::kPolicy, text)
      .WithHint(
          fmt::format("`imgbuild lock{}` writes this one down", lock.flags));
}

// Everything that is missing at once: nobody likes to hear of the names one by
// one.
Error AllRefusals(const Error& first,
                  const std::vector<build::LockRefusal>& refusals) {
  if (refusals.size() < 2) return first;
  Error error(ErrorCode::kPolicy, refusals[0].message);
  error.At(refusals[0].range).WithHint(refusals[0].hint);
  for (size_t i = 1; i < refusals.size(); ++i) {
    error.WithNote(fmt::format("also at {}: {}; {}",
                               refusals[i].range.ToString(),
                               refusals[i].message, refusals[i].hint));
  }
  return error;
}

}  // namespace

bool RunsInCi() {
  const char* ci = std::getenv("CI");
  return ci != nullptr &&
         (std::string_view(ci) == "true" || std::string_view(ci) == "1");
}

std::optional<lock::Lockfile> ReadLock(const std::string& path) {
  auto text = fs::ReadFileIfExists(AT_FDCWD, path, lock::kMaxLockBytes + 1);
  if (!text) return std::nullopt;
  return lock::Parse(std::make_shared<SourceFile>(path, std::move(*text)));
}

BuildLock OpenLock(const BuildInput& input, const BuildFlags& flags) {
  BuildLock lock;
  lock.dockerfile_path = input.dockerfile_path;
  const bool strict = flags.locked || flags.frozen;
  if (flags.no_locked && (strict || !flags.lockfile.empty())) {
    throw Error(ErrorCode::kUsage,
                "--no-locked and --locked, --frozen or --lockfile exclude one "
                "another");
  }
  if (flags.no_locked) return lock;
  lock.flags = FlagsFor(input);
  lock.writable = !flags.lockfile.empty() || !input.fetched;
  if (!flags.lockfile.empty()) {
    lock.path = flags.lockfile;
  } else if (!input.dockerfile_path.empty()) {
    lock.path = lock::LockPathOf(input.dockerfile_path);
  } else if (input.fetched) {
    lock.path = lock::LockPathOf(input.dockerfile->name());
  }
  if (auto text = LockText(input, flags, lock.path)) {
    lock.lock =
        lock::Parse(std::make_shared<SourceFile>(lock.path, std::move(*text)));
  } else if (strict && lock.path.empty()) {
    throw Error(ErrorCode::kPolicy,
                "there is no lock beside a Dockerfile that comes from standard "
                "input")
        .WithHint("--lockfile FILE names one");
  } else if (strict) {
    throw Error(ErrorCode::kPolicy, fmt::format("there is no {}", lock.path))
        .WithHint(fmt::format("`imgbuild lock{}` makes it", lock.flags));
  }
  if (flags.frozen) {
    lock.mode = build::LockMode::kFrozen;
  } else if (flags.locked || (lock.lock && RunsInCi())) {
    lock.mode = build::LockMode::kLocked;
  }
  return lock;
}

void ApplyLockFlags(App& app, const BuildFlags& flags) {
  if (flags.frozen) app.offline = "--frozen";
}

plan::BuildGraph PlanLocked(App& app, const dockerfile::Dockerfile& file,
                            plan::PlanOptions options, const BuildLock& lock,
                            const BuildFlags& flags, ProgressSink& progress) {
  const auto policy = flags.frozen ? transfer::PullPolicy::kNever
                      : flags.pull ? transfer::PullPolicy::kAlways
                                   : transfer::PullPolicy::kMissing;
  build::TransferResolver registry(app.store(), app.transfer(), progress,
                                   policy, app.cancel);
  if (!lock.lock) {
    return PlanUnderPolicy(flags, lock.dockerfile_path, file, options,
                           registry);
  }
  CheckSettings(lock, progress);
  if (!options.source_date_epoch) {
    options.source_date_epoch = lock.lock->settings.source_date_epoch;
  }
  build::LockedResolver resolver(*lock.lock, lock.mode, lock.flags, registry);
  plan::BuildGraph graph;
  try {
    graph = PlanUnderPolicy(flags, lock.dockerfile_path, file, options,
                            resolver, &*lock.lock);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kPolicy ||
        lock.mode == build::LockMode::kPrefer) {
      throw;
    }
    throw AllRefusals(error, build::LockRefusals(file, options, resolver));
  }
  for (const std::string& warning : resolver.warnings()) {
    progress.Warning(warning);
  }
  const build::PinnedCount count = build::CountPinned(graph.names, *lock.lock);
  if (count.names > 0) {
    progress.Message(
        fmt::format("lock: {}/{} names pinned", count.pinned, count.names));
  }
  return graph;
}

}  // namespace imgbuild::cli
