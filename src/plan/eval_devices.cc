// RUN --device: names of the Container Device Interface become devices of this
// host, as BuildKit chooses and grants them.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/dockerfile/device.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "plan/eval.h"

namespace imgbuild::plan {
namespace {

using DeviceList = std::vector<const HostDevice*>;

// "kind=name", "kind=*", "kind" (the first), "kind=class of an annotation".
DeviceList Matching(const std::vector<HostDevice>& all,
                    const std::string& text) {
  const size_t equals = text.find('=');
  const std::string kind = text.substr(0, equals) + "=";
  const std::string name =
      equals == std::string::npos ? "" : text.substr(equals + 1);
  DeviceList of_kind;
  for (const HostDevice& device : all) {
    if (device.name.starts_with(kind)) of_kind.push_back(&device);
  }
  if (name == "*") return of_kind;
  if (name.empty())
    return {of_kind.begin(), of_kind.begin() + !of_kind.empty()};
  DeviceList out;
  std::ranges::copy_if(of_kind, std::back_inserter(out),
                       [&](const auto* d) { return d->name == text; });
  if (out.empty()) {
    std::ranges::copy_if(of_kind, std::back_inserter(out), [&](const auto* d) {
      return d->device_class == name;
    });
  }
  return out;
}

std::string Candidates(const std::vector<HostDevice>& all,
                       const std::string& wanted) {
  if (all.empty()) {
    return "this host has no devices: they are described in /etc/cdi and "
           "/var/run/cdi";
  }
  std::vector<std::string> names;
  for (const HostDevice& device : all) names.push_back(device.name);
  if (const auto near = Suggest(wanted, names)) {
    return fmt::format("did you mean {}?", *near);
  }
  constexpr size_t kShown = 8;
  const bool more = names.size() > kShown;
  if (more) names.resize(kShown);
  return fmt::format("the devices of this host are {}{}", Join(names, ", "),
                     more ? ", …" : "");
}

// The devices that `request` names, which may be an alias.
struct Answer {
  std::string name;  // the alias resolved
  bool aliased = false;
  DeviceList found;
};

Answer Find(const PlanOptions& options, const std::vector<HostDevice>& all,
            const dockerfile::DeviceRequest& request,
            const SourceRange& range) {
  Answer answer{request.name, false, {}};
  const auto alias = options.granted_devices.find(request.name);
  if (alias != options.granted_devices.end() && !alias->second.empty()) {
    answer.name = alias->second;
    answer.aliased = true;
  }
  const std::string& name = answer.name;
  if (!dockerfile::IsDeviceKind(name.substr(0, name.find('=')))) {
    throw Error(ErrorCode::kDockerfile,
                fmt::format("invalid device {}", Quoted(name)))
        .At(range)
        .WithHint(
            "the form is VENDOR/CLASS=NAME, VENDOR/CLASS=* or VENDOR/CLASS");
  }
  answer.found = Matching(all, name);
  if (answer.found.empty() && request.required) {
    throw Error(
        ErrorCode::kDockerfile,
        fmt::format("required device {} is not registered", Quoted(name)))
        .At(range)
        .WithHint(Candidates(all, name));
  }
  return answer;
}

[[noreturn]] void Refuse(const HostDevice& device, const SourceRange& range) {
  throw Error(ErrorCode::kDockerfile,
              fmt::format("device {} is not granted", device.name))
      .At(range)
      .WithHint(
          fmt::format("if you trust this Dockerfile, build it with --allow "
                      "device={} (--allow device: any of them)",
                      device.name));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> StageEvaluator::Devices(
    const dockerfile::Run& run) {
  std::vector<std::pair<std::string, std::string>> out;
  if (run.devices.empty() || context_.lint != nullptr) return out;
  const PlanOptions& options = context_.options;
  const auto all =
      options.devices ? options.devices() : std::vector<HostDevice>();
  std::vector<const HostDevice*> granted;
  for (const auto& [name, target] : options.granted_devices) {
    if (!target.empty()) continue;
    for (const HostDevice* d : Matching(all, name)) granted.push_back(d);
  }
  for (const dockerfile::Word& word : run.devices) {
    const auto request = dockerfile::ParseDeviceRequest(word);
    const Answer answer = Find(options, all, request, word.range);
    if (answer.found.empty()) {
      context_.graph.warnings.push_back(
          {"OptionalDevice",
           fmt::format("device {} is not registered and is left out; {}",
                       Quoted(answer.name), Candidates(all, answer.name)),
           word.range});
    }
    for (const HostDevice* device : answer.found) {
      const bool allowed = answer.aliased || device->auto_allowed ||
                           options.entitlements.contains("device") ||
                           std::ranges::count(granted, device) != 0;
      if (!allowed) Refuse(*device, word.range);
      std::pair<std::string, std::string> entry(device->name, device->recipe);
      if (std::ranges::count(out, entry) == 0) out.push_back(std::move(entry));
    }
  }
  return out;
}

}  // namespace imgbuild::plan
