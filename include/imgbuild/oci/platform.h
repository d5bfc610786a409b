// Operating system, CPU architecture and its variant, in the normal form that
// containerd uses (x86_64 -> amd64, aarch64 -> arm64, arm -> arm/v7 …).
#ifndef IMGBUILD_OCI_PLATFORM_H_
#define IMGBUILD_OCI_PLATFORM_H_

#include <compare>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild::oci {

struct Platform {
  std::string os;
  std::string architecture;
  std::string variant;
  std::string os_version;
  std::vector<std::string> os_features;

  // "linux/amd64", "linux/arm/v7", "arm64", "linux"; normalises. One word is
  // an operating system or an architecture, the rest is taken from the host.
  // Throws Error(kUsage).
  static Platform Parse(std::string_view text);
  static Platform Host();
  Platform Normalized() const;
  // "linux/arm64/v8".
  std::string ToString() const;
  auto operator<=>(const Platform&) const = default;
};

// Position of `offered` in the order of what a machine of platform `wanted`
// accepts (0 is best); nullopt when it cannot run it. amd64 accepts 386 last,
// arm/v7 accepts v6 and v5, and so on (registry.md C.11).
std::optional<int> MatchRank(const Platform& wanted, const Platform& offered);

}  // namespace imgbuild::oci

#endif  // IMGBUILD_OCI_PLATFORM_H_
