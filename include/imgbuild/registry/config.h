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
  std::string identity_token;  // refresh token
  std::string registry_token;  // used as Bearer as it is
  std::string source;          // file or helper, for messages; never a secret
  std::string rule;  // the entry and FILE:LINE that named it; never a secret
};

// Finds credentials for a repository; tests give fixed ones.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  virtual std::optional<Credentials> Find(
      const oci::Repository& repository) = 0;
};

// Looks a variable up; tests give a map, everybody else the environment.
using EnvLookup =
    std::function<std::optional<std::string>(const std::string& name)>;
EnvLookup ProcessEnvironment();

struct CredentialFilesOptions {
  std::function<void(const std::string&)> warn;
  EnvLookup env = ProcessEnvironment();
  // --authfile: asked before every other file.
  std::string auth_file;
};
// In this order, the first that knows the registry wins:
//   $IMGBUILD_AUTH_<HOST> ("user:password"; HOST in upper case, everything
//   but letters and digits as '_'), $DOCKER_AUTH_CONFIG (the JSON itself),
//   --authfile, $REGISTRY_AUTH_FILE, $DOCKER_CONFIG/config.json or
//   ~/.docker/config.json (credHelpers, credsStore, auths), podman's
//   $XDG_RUNTIME_DIR/containers/auth.json and ~/.config/containers/auth.json.
// Inside a file the most specific key wins: host/namespace/name before
// host/namespace before host. A helper that fails makes `warn` speak and counts
// as "none"; so does a file that cannot be read. Thread-safe.
std::unique_ptr<CredentialSource> NewCredentialFiles(
    CredentialFilesOptions options);
std::unique_ptr<CredentialSource> NewCredentialFiles(
    std::function<void(const std::string&)> warn);
std::unique_ptr<CredentialSource> NoCredentials();

// `login`: hands the credentials to the helper that config.json names for the
// host, else writes them into its `auths`, 0600, atomically, keeping every
// other key and a symbolic link. Returns where they went, for the message.
std::string SaveCredentials(const CredentialFilesOptions& options,
                            const std::string& host,
                            const Credentials& credentials);
// `logout`: from the helper and from the files. False when there were none.
bool EraseCredentials(const CredentialFilesOptions& options,
                      const std::string& host);

// The entries of $IMGBUILD_TRUSTED_REALMS, comma-separated: for
// ClientOptions::trusted_realms.
std::vector<std::string> TrustedRealms(const EnvLookup& env);

// One place to ask, in order of preference; the last is the registry itself.
struct Endpoint {
  std::string base_url;     // "https://host[:port]" (no trailing slash)
  std::string path_prefix;  // repository path after location rewriting
  bool insecure = false;    // https may fall back to http
  bool is_mirror = false;
  TlsOptions tls;
  std::string rule;   // what led here, with FILE:LINE: for `config show`
  std::string trust;  // what decided about TLS; "" for the system's roots
};

struct HostsOptions {
  std::vector<std::string> insecure_registries;  // --insecure-registry
  // Overridable for tests; empty means the standard places.
  std::vector<std::string> certs_dirs;
  std::vector<std::string> registries_conf;
  // Docker's daemon.json (registry-mirrors, insecure-registries).
  std::vector<std::string> daemon_json;
};
class HostConfig {
 public:
  virtual ~HostConfig() = default;
  // Error(kPolicy) when the registry is blocked. `by_digest` because mirrors
  // may be for digests only.
  virtual std::vector<Endpoint> EndpointsFor(const oci::Repository& repository,
                                             bool by_digest) = 0;
  // How to trust a host that is no registry's endpoint: a token server, the
  // target of a redirect. The default is the system's roots.
  virtual TlsOptions TlsFor(const std::string& host_port) {
    static_cast<void>(host_port);
    return {};
  }
};
std::unique_ptr<HostConfig> LoadHostConfig(const HostsOptions& options);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_CONFIG_H_
