// Flags of a build that bound or mark what comes out: limits, agents,
// annotations.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "cli/build_options.h"

namespace imgbuild::cli {
namespace {

Error Usage(std::string message) {
  return Error(ErrorCode::kUsage, std::move(message));
}

uint64_t ParseBytes(const std::string& name, const std::string& text) {
  const auto bytes = ParseByteSize(text);
  if (!bytes || *bytes == 0) {
    throw Usage(fmt::format("invalid {} {}", name, Quoted(text)))
        .WithHint("it is a size, for example 512m or 2g");
  }
  return *bytes;
}

uint64_t ParseMicroseconds(const std::string& name, const std::string& text) {
  const auto number = ParseUint(text);
  if (!number || *number < 1000 || *number > 1'000'000'000) {
    throw Usage(fmt::format("invalid {} {}", name, Quoted(text)))
        .WithHint("it is a number of microseconds, 1000 at least");
  }
  return *number;
}

uint64_t ParseShares(const std::string& name, const std::string& text) {
  const auto number = ParseUint(text);
  if (!number || *number < 2 || *number > 262144) {
    throw Usage(fmt::format("invalid {} {}", name, Quoted(text)))
        .WithHint("it is a number from 2 to 262144");
  }
  return *number;
}

std::vector<std::string> ResourceNames() {
  return {"memory",    "memory-swap", "cpu-shares", "cpu-period",
          "cpu-quota", "cpuset-cpus", "cpuset-mems"};
}

void SetLimit(const std::string& key, const std::string& name,
              const std::string& text, exec::ResourceLimits& limits) {
  if (key == "memory") {
    limits.memory_bytes = ParseBytes(name, text);
  } else if (key == "memory-swap") {
    limits.memory_swap_bytes =
        text == "-1" ? -1 : static_cast<int64_t>(ParseBytes(name, text));
  } else if (key == "cpu-period") {
    limits.cpu_period_us = ParseMicroseconds(name, text);
  } else if (key == "cpu-quota") {
    limits.cpu_quota_us = ParseMicroseconds(name, text);
  } else if (key == "cpu-shares") {
    limits.cpu_shares = ParseShares(name, text);
  } else if (key == "cpuset-cpus") {
    limits.cpuset_cpus = text;
  } else if (key == "cpuset-mems") {
    limits.cpuset_mems = text;
  } else {
    Error error = Usage(fmt::format("unknown --resource {}", Quoted(key)));
    const auto near = Suggest(key, ResourceNames());
    throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                              : fmt::format("the resources are {}",
                                            Join(ResourceNames(), ", ")));
  }
}

// "manifest[linux/amd64]" -> the type and the platform in brackets.
struct AnnotationType {
  std::string name;
  std::string platform;
};

AnnotationType ParseType(const std::string& text) {
  const size_t bracket = text.find('[');
  if (bracket == std::string::npos || !text.ends_with(']')) return {text, ""};
  return {text.substr(0, bracket),
          text.substr(bracket + 1, text.size() - bracket - 2)};
}

bool IsType(const std::string& name) {
  constexpr std::array<std::string_view, 4> kTypes = {
      "manifest", "index", "manifest-descriptor", "index-descriptor"};
  return std::ranges::find(kTypes, name) != kTypes.end();
}

// The types in front of "K=V", cut off; none: the manifest's.
std::vector<AnnotationType> TakeTypes(std::string& key) {
  std::vector<AnnotationType> types;
  const size_t colon = key.find(':');
  if (colon != std::string::npos) {
    for (const std::string& word : Split(key.substr(0, colon), ',')) {
      types.push_back(ParseType(word));
    }
    if (std::ranges::all_of(
            types, [](const auto& type) { return IsType(type.name); })) {
      key = key.substr(colon + 1);
      return types;
    }
  }
  return {{"manifest", ""}};
}

}  // namespace

std::vector<build::SshForward> ParseSsh(const BuildFlags& flags) {
  std::vector<build::SshForward> forwards;
  for (const std::string& word : flags.ssh) {
    forwards.push_back(build::ParseSshForward(word));
  }
  return forwards;
}

exec::ResourceLimits ParseLimits(const BuildFlags& flags) {
  exec::ResourceLimits limits;
  const std::pair<const char*, const std::string*> values[] = {
      {"memory", &flags.memory},          {"memory-swap", &flags.memory_swap},
      {"cpu-period", &flags.cpu_period},  {"cpu-quota", &flags.cpu_quota},
      {"cpu-shares", &flags.cpu_shares},  {"cpuset-cpus", &flags.cpuset_cpus},
      {"cpuset-mems", &flags.cpuset_mems}};
  for (const auto& [key, value] : values) {
    if (value->empty()) continue;
    SetLimit(key, fmt::format("--{}", key), *value, limits);
  }
  for (const std::string& word : flags.resources) {
    // A list of CPUs has commas itself.
    const bool list = word.starts_with("cpuset-");
    for (const std::string& pair :
         list ? std::vector<std::string>{word} : Split(word, ',')) {
      const size_t eq = pair.find('=');
      if (eq == std::string::npos) {
        throw Usage(fmt::format("invalid --resource {}", Quoted(pair)))
            .WithHint("the form is KEY=VALUE, for example memory=512m");
      }
      const std::string key = pair.substr(0, eq);
      SetLimit(key, "--resource " + key, pair.substr(eq + 1), limits);
    }
  }
  return limits;
}

Annotations ParseAnnotations(const BuildFlags& flags,
                             const oci::Platform& platform) {
  Annotations annotations;
  for (const std::string& word : flags.annotations) {
    const size_t eq = word.find('=');
    std::string key = word.substr(0, eq);
    const std::vector<AnnotationType> types = TakeTypes(key);
    if (eq == std::string::npos || key.empty()) {
      throw Usage(fmt::format("invalid --annotation {}", Quoted(word)))
          .WithHint("the form is [TYPE[PLATFORM],…:]KEY=VALUE");
    }
    for (const AnnotationType& type : types) {
      if (type.name.starts_with("index")) {
        throw Usage(fmt::format("--annotation {}: index annotations are not "
                                "supported for the image of one platform",
                                word))
            .WithHint(
                "without an index there are manifest:K=V and "
                "manifest-descriptor:K=V");
      }
      if (!type.platform.empty() &&
          oci::Platform::Parse(type.platform) != platform) {
        continue;
      }
      (type.name == "manifest" ? annotations.manifest
                               : annotations.descriptor)[key] =
          word.substr(eq + 1);
    }
  }
  return annotations;
}

}  // namespace imgbuild::cli
