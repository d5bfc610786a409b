// A registry's answer turned into an Error: method, redacted URL, the codes
// and messages it gave.
#ifndef IMGBUILD_SRC_REGISTRY_REGISTRY_ERROR_H_
#define IMGBUILD_SRC_REGISTRY_REGISTRY_ERROR_H_

#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/registry/transport.h"
#include "imgbuild/util/error.h"

namespace imgbuild::registry {

struct RegistryErrorItem {
  std::string code;  // "MANIFEST_UNKNOWN"; may be empty
  std::string message;
  bool operator==(const RegistryErrorItem&) const = default;
};

// Reads {"errors":[…]}, {"details":…}, {"error":…,"error_description":…} and
// plain text; HTML says nothing useful and gives no item.
std::vector<RegistryErrorItem> ParseErrorBody(std::string_view body);

// `GET https://host/v2/a/manifests/b: MANIFEST_UNKNOWN: manifest unknown`, or
// `…: status 502` when the body explains nothing. temporary() is set for
// statuses that may pass.
Error ResponseError(std::string_view method, const HttpResponse& response,
                    std::string_view body);

// True when one of the codes in the body is `code`.
bool HasErrorCode(std::string_view body, std::string_view code);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_REGISTRY_ERROR_H_
