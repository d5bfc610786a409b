// What the client would do for a name, without doing it: `config show`.
#ifndef IMGBUILD_REGISTRY_EXPLAIN_H_
#define IMGBUILD_REGISTRY_EXPLAIN_H_

#include <string>
#include <vector>

#include "imgbuild/oci/reference.h"
#include "imgbuild/registry/config.h"

namespace imgbuild::registry {

// One endpoint and everything that decides how it is spoken to. Holds no
// secret, so that all of it may be printed.
struct Explanation {
  Endpoint endpoint;
  std::string proxy;  // "" for a direct connection; without user and password
  // What the registry would be told when it asks; "" for nobody.
  std::string credential_rule;    // the entry that won, with FILE:LINE
  std::string credential_source;  // the file or helper that has the secret
  std::string identity;           // "user ada", "identity token"
};

// In the order in which they are asked. Credential helpers are run; no request
// is made. Throws Error(kPolicy) for a blocked registry.
std::vector<Explanation> Explain(HostConfig& hosts,
                                 CredentialSource& credentials,
                                 const oci::Repository& repository,
                                 bool by_digest);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_REGISTRY_EXPLAIN_H_
