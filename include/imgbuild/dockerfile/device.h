// RUN --device: what it asks for.
#ifndef IMGBUILD_DOCKERFILE_DEVICE_H_
#define IMGBUILD_DOCKERFILE_DEVICE_H_

#include <string>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

struct DeviceRequest {
  // "vendor.com/class=name", "vendor.com/class=*", "vendor.com/class", or a
  // name that --allow device=…,alias=… gives.
  std::string name;
  // Without it a device that this host does not have is left out.
  bool required = false;
};

// "NAME[,required[=BOOL]]", "name=NAME,…". Throws Error(kDockerfile) at the
// value.
DeviceRequest ParseDeviceRequest(const Word& value);

// Whether `text` is "vendor/class" as the Container Device Interface has it.
bool IsDeviceKind(const std::string& text);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_DEVICE_H_
