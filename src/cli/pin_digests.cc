#include "cli/pin_digests.h"

#include "imgbuild/util/error.h"
#include "imgbuild/util/for_each.h"

namespace imgbuild::cli {
namespace {

constexpr unsigned kParallel = 16;

}  // namespace

void PinDigests::Expect(const dockerfile::Dockerfile& file,
                        const std::string& path,
                        const std::vector<lock::UsedName>& used,
                        lock::PinMode mode) {
  static_cast<void>(path);
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
  static_cast<void>(path);
  return [this](const oci::Reference& name) {
    const Answer& answer = answers_.at(name.ToString());
    if (answer.error) std::rethrow_exception(answer.error);
    return answer.digest;
  };
}

}  // namespace imgbuild::cli
