// The devices of this host, for plans and builds.
#ifndef IMGBUILD_CLI_DEVICES_H_
#define IMGBUILD_CLI_DEVICES_H_

#include <memory>

#include "imgbuild/exec/cdi.h"
#include "imgbuild/plan/planner.h"

namespace imgbuild::cli {

// Reads their descriptions when it is first asked.
class HostDevices {
 public:
  const exec::CdiRegistry& registry();
  // Null unless something asked.
  const exec::CdiRegistry* registry_if_read() const { return registry_.get(); }
  // For PlanOptions::devices; this must outlive it. Descriptions that could
  // not be read are told on standard error.
  std::function<std::vector<plan::HostDevice>()> Lister();

 private:
  std::unique_ptr<const exec::CdiRegistry> registry_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_DEVICES_H_
