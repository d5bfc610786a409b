#include "imgbuild/oci/platform.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::oci {
namespace {

// What GOOS and GOARCH may be: a single word is looked up here.
constexpr std::array<std::string_view, 16> kSystems = {
    "aix",     "android", "darwin",  "dragonfly", "freebsd", "hurd",
    "illumos", "ios",     "js",      "linux",     "netbsd",  "openbsd",
    "plan9",   "solaris", "windows", "zos"};
constexpr std::array<std::string_view, 18> kArchitectures = {
    "386",     "amd64",  "arm",     "arm64",    "armbe", "loong64",
    "mips",    "mipsle", "mips64",  "mips64le", "ppc",   "ppc64",
    "ppc64le", "riscv",  "riscv64", "s390",     "s390x", "wasm"};

template <size_t N>
bool Contains(const std::array<std::string_view, N>& words,
              std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool IsWord(std::string_view text) {
  return !text.empty() &&
         text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyz"
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == text.npos;
}

Error Invalid(std::string_view text, std::string_view reason) {
  return Error(ErrorCode::kUsage,
               "invalid platform " + Quoted(text) + ": " + std::string(reason))
      .WithHint("write OS/ARCH or OS/ARCH/VARIANT, as in linux/arm64");
}

// "windows(10.0.17763+win32k)" into os, os_version, os_features.
void ParseSystem(std::string_view text, std::string_view part, Platform* out) {
  const size_t open = part.find('(');
  if (open != part.npos) {
    if (!part.ends_with(')')) throw Invalid(text, "\"(\" without \")\"");
    const auto words =
        Split(part.substr(open + 1, part.size() - open - 2), '+');
    for (size_t i = 0; i < words.size(); ++i) {
      if (!IsWord(words[i]) && !(i == 0 && words[i].empty())) {
        throw Invalid(text, "bad version " + Quoted(words[i]));
      }
      if (i > 0) out->os_features.push_back(words[i]);
    }
    out->os_version = words[0];
    part = part.substr(0, open);
  }
  out->os = part;
}

// "v9.2" is {9, 2}; nullopt when it is not of that form.
std::optional<std::pair<int, int>> VariantNumbers(std::string_view variant) {
  if (!variant.starts_with('v')) return std::nullopt;
  variant.remove_prefix(1);
  const size_t dot = variant.find('.');
  const auto major = ParseUint(variant.substr(0, dot));
  const auto minor = dot == variant.npos ? std::optional<uint64_t>(0)
                                         : ParseUint(variant.substr(dot + 1));
  if (!major || !minor || *major > 99 || *minor > 99) return std::nullopt;
  return std::pair(static_cast<int>(*major), static_cast<int>(*minor));
}

using Candidates = std::vector<std::pair<std::string, std::string>>;

// Variants N, N-1 … 5 of the 32-bit ARM.
void AddArm(int from, Candidates* out) {
  for (int v = from; v >= 5; --v)
    out->emplace_back("arm", "v" + std::to_string(v));
}

void AddArm64(int major, int minor, Candidates* out) {
  for (int m = minor; m > 0; --m) {
    out->emplace_back("arm64",
                      "v" + std::to_string(major) + "." + std::to_string(m));
  }
  // v8 in normal form is no variant.
  out->emplace_back("arm64", major == 8 ? "" : "v" + std::to_string(major));
}

// (architecture, variant) that a machine of the normalised platform accepts,
// best first.
Candidates AcceptedBy(const Platform& wanted) {
  const std::string& arch = wanted.architecture;
  Candidates out;
  const auto numbers = VariantNumbers(wanted.variant);
  if (arch == "amd64" && (wanted.variant.empty() || numbers)) {
    for (int v = numbers ? numbers->first : 1; v > 1; --v) {
      out.emplace_back(arch, "v" + std::to_string(v));
    }
    out.emplace_back(arch, "");
    out.emplace_back("386", "");
  } else if (arch == "arm64" && (wanted.variant.empty() || numbers)) {
    const auto [major, minor] = numbers.value_or(std::pair(8, 0));
    AddArm64(major, minor, &out);
    // Armv9.m contains Armv8.(m+5); 8.9 is the last of the eights.
    if (major == 9) AddArm64(8, std::min(minor + 5, 9), &out);
    AddArm(8, &out);
  } else if (arch == "arm" && numbers) {
    AddArm(numbers->first, &out);
  }
  if (out.empty()) out.emplace_back(arch, wanted.variant);
  return out;
}

// Windows images run on hosts of the same major.minor.build only.
bool SameWindowsBuild(std::string_view a, std::string_view b) {
  auto x = Split(a, '.');
  auto y = Split(b, '.');
  x.resize(3);
  y.resize(3);
  return x == y;
}

}  // namespace

Platform Platform::Normalized() const {
  Platform out = *this;
  out.os = ToLower(os);
  if (out.os == "macos") out.os = "darwin";
  out.architecture = ToLower(architecture);
  out.variant = ToLower(variant);
  std::string& arch = out.architecture;
  std::string& v = out.variant;
  if (arch == "x86_64" || arch == "x86-64") arch = "amd64";
  if (arch == "aarch64") arch = "arm64";
  if (arch == "i386") arch = "386";
  if (arch == "armhf") {
    arch = "arm";
    v = "v7";
  } else if (arch == "armel") {
    arch = "arm";
    v = "v6";
  }
  if (arch == "amd64") {
    if (v == "v1") v = "";
  } else if (arch == "arm64") {
    if (v == "8" || v == "v8" || v == "8.0" || v == "v8.0") v = "";
    if (v == "9" || v == "9.0" || v == "v9.0") v = "v9";
  } else if (arch == "arm") {
    if (v.empty() || v == "7") v = "v7";
    if (v == "5" || v == "6" || v == "8") v = "v" + v;
  }
  return out;
}

Platform Platform::Host() {
  Platform host;
  host.os = "linux";
  // The machine this program was made for: what the kernel says of itself may
  // be more than what a 32-bit user land can run.
#if defined(__x86_64__)
  host.architecture = "amd64";
#elif defined(__aarch64__)
  host.architecture = "arm64";
#elif defined(__arm__)
  host.architecture = "arm";
  struct utsname name;
  if (::uname(&name) == 0 && std::string_view(name.machine) == "armv6l") {
    host.variant = "v6";
  }
#else
  struct utsname name;
  if (::uname(&name) == 0) host.architecture = name.machine;
#endif
  return host.Normalized();
}

Platform Platform::Parse(std::string_view text) {
  if (text.find('*') != text.npos) {
    throw Invalid(text, "wildcards are not supported");
  }
  const std::vector<std::string> parts = Split(text, '/');
  if (parts.size() > 3) throw Invalid(text, "more than three parts");
  Platform platform;
  ParseSystem(text, parts[0], &platform);
  if (!IsWord(platform.os)) throw Invalid(text, "bad operating system name");
  for (size_t i = 1; i < parts.size(); ++i) {
    if (!IsWord(parts[i])) throw Invalid(text, "bad part " + Quoted(parts[i]));
  }
  if (parts.size() > 1) platform.architecture = parts[1];
  if (parts.size() > 2) platform.variant = parts[2];
  platform = platform.Normalized();
  if (parts.size() > 1) return platform;

  const Platform host = Host();
  if (Contains(kSystems, platform.os)) {
    platform.architecture = host.architecture;
    platform.variant = host.variant;
    return platform;
  }
  Platform guess;
  guess.architecture = platform.os;
  guess = guess.Normalized();
  if (!Contains(kArchitectures, guess.architecture)) {
    throw Invalid(text, "unknown operating system or architecture");
  }
  guess.os = host.os;
  return guess;
}

std::string Platform::ToString() const {
  std::string out = os + "/" + architecture;
  if (!variant.empty()) out += "/" + variant;
  return out;
}

std::optional<int> MatchRank(const Platform& wanted, const Platform& offered) {
  const Platform want = wanted.Normalized();
  const Platform have = offered.Normalized();
  if (want.os != have.os) return std::nullopt;
  if (want.os == "windows" && !want.os_version.empty() &&
      !have.os_version.empty() &&
      !SameWindowsBuild(want.os_version, have.os_version)) {
    return std::nullopt;
  }
  for (const std::string& feature : have.os_features) {
    if (std::find(want.os_features.begin(), want.os_features.end(), feature) ==
        want.os_features.end()) {
      return std::nullopt;
    }
  }
  const Candidates candidates = AcceptedBy(want);
  const auto found = std::find(candidates.begin(), candidates.end(),
                               std::pair(have.architecture, have.variant));
  if (found == candidates.end()) return std::nullopt;
  return static_cast<int>(found - candidates.begin());
}

}  // namespace imgbuild::oci
