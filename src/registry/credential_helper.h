// The protocol of docker-credential-NAME: one request on stdin, one answer on
// stdout.
#ifndef IMGBUILD_SRC_REGISTRY_CREDENTIAL_HELPER_H_
#define IMGBUILD_SRC_REGISTRY_CREDENTIAL_HELPER_H_

#include <optional>
#include <string>

#include "imgbuild/registry/config.h"

namespace imgbuild::registry {

// nullopt: the helper knows nothing about this server. Throws Error(kHost)
// when it is missing, fails, hangs for 30 s or answers nonsense.
std::optional<Credentials> HelperGet(const std::string& helper,
                                     const std::string& server);
void HelperStore(const std::string& helper, const std::string& server,
                 const Credentials& credentials);
// False when there was nothing to erase.
bool HelperErase(const std::string& helper, const std::string& server);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_CREDENTIAL_HELPER_H_
