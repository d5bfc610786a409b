#include "cli/devices.h"

#include <cstdio>
#include <string>
#include <vector>

namespace imgbuild::cli {
namespace {

// BuildKit's, so that one description serves both.
constexpr char kClass[] = "org.mobyproject.buildkit.device.class";
constexpr char kAutoAllow[] = "org.mobyproject.buildkit.device.autoallow";

std::string Annotation(const exec::CdiRegistry::Device& device,
                       const char* name) {
  const auto& all = device.get().annotations;
  const auto it = all.find(name);
  return it == all.end() ? "" : it->second;
}

bool IsTrue(const std::string& text) {
  for (const char* word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  return false;
}

}  // namespace

const exec::CdiRegistry& HostDevices::registry() {
  if (!registry_) {
    registry_ = std::make_unique<const exec::CdiRegistry>(
        exec::CdiRegistry::Read(exec::CdiDirectories()));
    for (const std::string& problem : registry_->problems()) {
      std::fprintf(stderr, "warning: %s\n", problem.c_str());
    }
  }
  return *registry_;
}

std::function<std::vector<plan::HostDevice>()> HostDevices::Lister() {
  return [this] {
    std::vector<plan::HostDevice> out;
    for (const exec::CdiRegistry::Device& device : registry().devices()) {
      out.push_back({device.name, Annotation(device, kClass),
                     IsTrue(Annotation(device, kAutoAllow)),
                     device.get().recipe});
    }
    return out;
  };
}

}  // namespace imgbuild::cli
