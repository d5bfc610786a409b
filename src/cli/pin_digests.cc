#include "cli/pin_digests.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/for_each.h"
#include "imgbuild/util/fs.h"

#include "cli/text_file.h"

namespace imgbuild::cli {
namespace {

constexpr unsigned kParallel = 16;

lock::DigestOf FromLock(const lock::Lockfile& lockfile,
                        const std::string& lock_path,
                        const std::string& dockerfile) {
  return [&lockfile, lock_path, dockerfile](const oci::Reference& name) {
    const lock::ImagePin* pin = lockfile.FindImage(name);
    if (pin != nullptr) return std::optional<oci::Digest>(pin->digest);
    for (const lock::FrontendPin& frontend : lockfile.frontends) {
      if (frontend.name == name) {
        return std::optional<oci::Digest>(frontend.digest);
      }
    }
    throw Error(ErrorCode::kPolicy,
                fmt::format("{} does not have {}", lock_path, name.Familiar()))
        .WithHint(fmt::format("`imgbuild lock add -f {} {}` adds it, `imgbuild "
                              "pin --no-lock` asks the registry",
                              dockerfile, name.Familiar()));
  };
}

}  // namespace

void PinDigests::Expect(const dockerfile::Dockerfile& file,
                        const std::string& path,
                        const std::vector<lock::UsedName>& used,
                        lock::PinMode mode) {
  if (!ignore_locks_ && path != "-") {
    const std::string lock_path = lock::LockPathOf(path);
    if (fs::LstatIfExists(AT_FDCWD, lock_path)) {
      locks_.emplace(path, lock::Parse(ReadTextFile(
                               lock_path, lock::kMaxLockBytes, "lock")));
      return;
    }
  }
  lock::PlanPins(file, used, mode, [&](const oci::Reference& name) {
    answers_.try_emplace(name.ToString());
    return std::optional<oci::Digest>();
  });
}

void PinDigests::Fetch() {
  if (answers_.empty()) return;
  app_.client();  // made before the threads start
  std::vector<std::pair<const std::string, Answer>*> todo;
  for (auto& entry : answers_) todo.push_back(&entry);
  ForEach(todo, kParallel, [&](std::pair<const std::string, Answer>* entry) {
    try {
      entry->second.digest =
          app_.client()
              .Resolve(oci::Reference::Parse(entry->first), app_.cancel)
              .digest;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::kInterrupted) throw;
      entry->second.error = std::current_exception();
    }
  });
}

lock::DigestOf PinDigests::For(const std::string& path) const {
  if (const auto it = locks_.find(path); it != locks_.end()) {
    return FromLock(it->second, lock::LockPathOf(path), path);
  }
  return [this](const oci::Reference& name) {
    const Answer& answer = answers_.at(name.ToString());
    if (answer.error) std::rethrow_exception(answer.error);
    return answer.digest;
  };
}

}  // namespace imgbuild::cli
