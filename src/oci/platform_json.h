// The "platform" object of descriptors, and the same fields of image configs.
#ifndef IMGBUILD_SRC_OCI_PLATFORM_JSON_H_
#define IMGBUILD_SRC_OCI_PLATFORM_JSON_H_

#include "imgbuild/oci/platform.h"

#include "json.h"

namespace imgbuild::oci {

// As found, not normalised.
inline Platform ParsePlatform(const JsonValue& value) {
  return {.os = value["os"].String(),
          .architecture = value["architecture"].String(),
          .variant = value["variant"].String(),
          .os_version = value["os.version"].String(),
          .os_features = value["os.features"].Strings()};
}

inline void WritePlatform(JsonWriter* json, const Platform& platform) {
  json->BeginObject();
  json->Member("architecture", platform.architecture);
  json->Member("os", platform.os);
  json->OptionalMember("os.version", platform.os_version);
  json->OptionalMember("os.features", platform.os_features);
  json->OptionalMember("variant", platform.variant);
  json->EndObject();
}

}  // namespace imgbuild::oci

#endif  // IMGBUILD_SRC_OCI_PLATFORM_JSON_H_
