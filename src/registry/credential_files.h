// Reading config.json and auth.json: the parts that need no file.
#ifndef IMGBUILD_SRC_REGISTRY_CREDENTIAL_FILES_H_
#define IMGBUILD_SRC_REGISTRY_CREDENTIAL_FILES_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/registry/config.h"

namespace imgbuild::registry {

struct NamedHelper {
  std::string name;  // of docker-credential-NAME
  std::string rule;  // what names it, with FILE:LINE
};
struct AuthFile {
  std::map<std::string, Credentials> auths;    // by normalised key
  std::map<std::string, NamedHelper> helpers;  // credHelpers
  NamedHelper store;                           // credsStore
};
// Throws Error(kHost) without quoting the text. Unknown keys are ignored; an
// entry that cannot be understood is left out.
AuthFile ParseAuthFile(std::string_view text, const std::string& source);

// "https://index.docker.io/v1/" -> "index.docker.io"; "host/ns" stays.
std::string NormaliseAuthKey(std::string_view key);
// What to look up, best first: "host/a/b", "host/a", "host".
std::vector<std::string> AuthKeysFor(const oci::Repository& repository);
// The name that helpers and `auths` know a registry by.
std::string ServerName(const std::string& domain);
// "registry.example.com:5000" -> "IMGBUILD_AUTH_REGISTRY_EXAMPLE_COM_5000".
std::string AuthVariable(std::string_view host);

inline constexpr size_t kMaxAuthFile = 1u << 20;

// ~/.docker/config.json or its place by $DOCKER_CONFIG; "" without a home.
std::string DockerConfigPath(const EnvLookup& env);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_CREDENTIAL_FILES_H_
