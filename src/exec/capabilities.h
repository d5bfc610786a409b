// Capability names, and which of them a container gets.
#ifndef IMGBUILD_SRC_EXEC_CAPABILITIES_H_
#define IMGBUILD_SRC_EXEC_CAPABILITIES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/exec/executor.h"

namespace imgbuild::exec {

// A set of capabilities: bit N is capability N.
using CapabilitySet = uint64_t;

// "CAP_NET_ADMIN", "net_admin" -> its bit; "ALL" -> all. 0 for unknown names.
CapabilitySet ParseCapability(std::string_view name);
// CAP_… names, by number.
std::vector<std::string> CapabilityNames(CapabilitySet set);

// What Docker gives a container.
CapabilitySet DefaultCapabilities();
// From `spec`: privileged is all of `available`, else the default with cap_add
// and cap_drop ("ALL" first, single names win). Never more than `available`.
// Throws Error(kUsage) for an unknown name and Error(kHost) for an added one
// that this process does not have itself.
CapabilitySet ContainerCapabilities(const ProcessSpec& spec,
                                    CapabilitySet available);

// This process's bounding set.
CapabilitySet OwnCapabilities();

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_CAPABILITIES_H_
