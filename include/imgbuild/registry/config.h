// What users already have configured: where a registry is, how to trust it,
// who they are there. Read from the files of Docker and of containers/*.
#ifndef IMGBUILD_REGISTRY_CONFIG_H_
#define IMGBUILD_REGISTRY_CONFIG_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/reference.h"
#include "imgbuild/registry/transport.h"

namespace imgbuild::registry {

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;   // refresh token
  std::string registry_token;   // used as Bearer as it is
  std::string source;           // file or helper, for messages; never a secret
};

// Finds credentials for a repository; tests give fixed ones.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  virtual std::optional<Credentials> Find(const oci::Repository& repository) = 0;
};

// $IMGBUILD_AUTH_<HOST>, $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json or
// ~/.docker/config.json (auths, credsStore, credHelpers), podman's auth.json.
// A helper that fails makes `warn` speak and counts as "none".
std::unique_ptr<CredentialSource> NewCredentialFiles(
    std::function<void(const std::string&)> warn);
std::unique_ptr<CredentialSource> NoCredentials();

// One place to ask, in order of preference; the last is the registry itself.
struct Endpoint {
  std::string base_url;     // "https://host[:port]" (no trailing slash)
  std::string path_prefix;  // repository path after location rewriting
  bool insecure = false;    // https may fall back to http
  bool is_mirror = false;
  TlsOptions tls;
  std::string rule;         // which file decided, for `config show`
};

struct HostsOptions {
  std::vector<std::string> insecure_registries;  // --insecure-registry
  // Overridable for tests; empty means the standard places.
  std::vector<std::string> certs_dirs;
  std::vector<std::string> registries_conf;
};
class HostConfig {
 public:
  virtual ~HostConfig() = default;
  // Error(kPolicy) when the registry is blocked. `by_digest` because mirrors
  // may be for digests only.
  virtual std::vector<Endpoint> EndpointsFor(const oci::Repository& repository,
                                             bool by_digest) = 0;
};
std::unique_ptr<HostConfig> LoadHostConfig(const HostsOptions& options);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_CONFIG_H_
