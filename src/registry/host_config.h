// The pure parts of the host configuration.
#ifndef IMGBUILD_SRC_REGISTRY_HOST_CONFIG_H_
#define IMGBUILD_SRC_REGISTRY_HOST_CONFIG_H_

#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/registry/config.h"

namespace imgbuild::registry {

struct DaemonJson {
  std::vector<std::string> mirrors;   // of docker.io, as URLs
  std::vector<std::string> insecure;  // hosts and networks
};
// Throws Error(kHost) with the file's name.
DaemonJson ParseDaemonJson(std::string_view text, const std::string& file);

// The trust that certs.d/HOST_PORT/ in these directories gives: *.crt are
// roots, X.cert with X.key is a client certificate. Throws Error(kHost) for
// half a pair. `*found` (if given) is set to the directory that had something.
TlsOptions LoadCerts(const std::vector<std::string>& directories,
                     const std::string& host_port, std::string* found);

// Whether `entry` means `host_port`: it is "host:port", "host" for every port,
// or a network "10.0.0.0/8".
bool IsInsecureHost(std::string_view entry, std::string_view host_port);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_HOST_CONFIG_H_
