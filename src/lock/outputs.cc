#include "imgbuild/lock/outputs.h"

#include <fmt/format.h>

namespace imgbuild::lock {

std::optional<std::string> VariantOf(
    const Lockfile& lock, const std::map<std::string, std::string>& args) {
  if (args.empty()) return "";
  for (const Variant& variant : lock.variants) {
    if (variant.args == args) return variant.name;
  }
  return std::nullopt;
}

const ExpectedOutput* FindOutput(const Lockfile& lock,
                                 const std::string& target,
                                 const std::string& platform,
                                 const std::string& variant) {
  for (const ExpectedOutput& output : lock.outputs) {
    if (output.target == target && output.platform == platform &&
        output.variant == variant) {
      return &output;
    }
  }
  return nullptr;
}

std::string DescribeMismatch(const Lockfile& lock,
                             const ExpectedOutput& expected,
                             const oci::Digest& made) {
  return fmt::format("this build made {}; {} expects {}", made.ToString(),
                     lock.source ? lock.source->name() : "the lock",
                     expected.manifest.ToString());
}

}  // namespace imgbuild::lock
