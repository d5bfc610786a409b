// Base64 (RFC 4648), as Basic credentials and Docker's config.json use it.
#ifndef IMGBUILD_SRC_REGISTRY_BASE64_H_
#define IMGBUILD_SRC_REGISTRY_BASE64_H_

#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::registry {

std::string Base64Encode(std::string_view bytes);
// Standard or URL alphabet, padding optional; nullopt on anything else.
std::optional<std::string> Base64Decode(std::string_view text);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_BASE64_H_
