#include "cli/image_lock.h"

#include <fmt/format.h>

#include "imgbuild/build/image_resolver.h"
#include "imgbuild/build/locking.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/progress.h"
#include "imgbuild/util/strings.h"

#include "cli/lock_input.h"

namespace imgbuild::cli {
namespace {

constexpr char kDefaultLock[] = "Dockerfile.lock";

// Of the `imgbuild lock` that writes the lock at `path`.
std::string FlagsFor(const std::string& path) {
  constexpr std::string_view kEnd = ".lock";
  if (path == kDefaultLock || !path.ends_with(kEnd)) return "";
  return " -f " + path.substr(0, path.size() - kEnd.size());
}

lock::Lockfile Read(const std::string& given) {
  const std::string path = given.empty() ? kDefaultLock : given;
  if (auto lock = ReadLock(path)) return std::move(*lock);
  throw Error(ErrorCode::kPolicy, fmt::format("there is no {}", path))
      .WithHint(
          fmt::format("`imgbuild lock{}` makes it{}", FlagsFor(path),
                      given.empty() ? ", --lockfile FILE names another" : ""));
}

}  // namespace

void ImageLock::AddTo(Args& args) {
  args.Flag("--locked", &locked_, "take the digest from the lock");
  args.Value("--lockfile", &lockfile_, "FILE",
             "the lock of --locked (default: Dockerfile.lock)");
}

bool ImageLock::given() const {
  if (locked_ || lockfile_.empty()) return locked_;
  throw Error(ErrorCode::kUsage, "--lockfile needs --locked");
}

plan::ResolvedImage ImageLock::Resolve(App& app,
                                       const oci::Reference& reference,
                                       const oci::Platform& platform,
                                       transfer::PullPolicy policy) const {
  const lock::Lockfile lock = Read(lockfile_);
  const lock::ImagePin* pin = lock.FindImage(reference);
  NullProgress progress;
  build::TransferResolver registry(app.store(), app.transfer(), progress,
                                   policy, app.cancel);
  build::LockedResolver resolver(lock, build::LockMode::kLocked,
                                 FlagsFor(lock.source->name()), registry);
  try {
    return resolver.Resolve(reference, platform);
  } catch (Error& error) {
    if (policy == transfer::PullPolicy::kNever && pin != nullptr &&
        error.code() == ErrorCode::kUsage) {
      throw Error(
          ErrorCode::kUsage,
          "No such image: " + reference.WithDigest(pin->digest).Familiar());
    }
    if (error.code() == ErrorCode::kPolicy && pin == nullptr) {
      error.WithNote("a lock has the names that its Dockerfile has");
    }
    throw;
  }
}

}  // namespace imgbuild::cli
