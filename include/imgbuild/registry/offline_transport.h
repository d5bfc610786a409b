// A transport that makes no request.
#ifndef IMGBUILD_REGISTRY_OFFLINE_TRANSPORT_H_
#define IMGBUILD_REGISTRY_OFFLINE_TRANSPORT_H_

#include <memory>
#include <string>

#include "imgbuild/registry/transport.h"

namespace imgbuild::registry {

// Every exchange throws Error(kPolicy) that says what was to be fetched and
// that `reason` ("--frozen") forbids it.
std::unique_ptr<HttpTransport> NewOfflineTransport(const std::string& reason);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_OFFLINE_TRANSPORT_H_
