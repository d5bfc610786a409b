// The image config: what runs, how it was made, which DiffIds it stands on
// (image-spec config.md plus the fields that Docker adds).
#ifndef IMGBUILD_OCI_IMAGE_CONFIG_H_
#define IMGBUILD_OCI_IMAGE_CONFIG_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/platform.h"

namespace imgbuild::oci {

struct Healthcheck {
  std::vector<std::string> test;  // {"NONE"}, {"CMD", …}, {"CMD-SHELL", text}
  int64_t interval_ns = 0;
  int64_t timeout_ns = 0;
  int64_t start_period_ns = 0;
  int64_t start_interval_ns = 0;
  int64_t retries = 0;
  auto operator<=>(const Healthcheck&) const = default;
};

struct History {
  std::optional<std::string> created;  // RFC 3339, as found
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
  auto operator<=>(const History&) const = default;
};

struct ImageConfig {
  std::optional<std::string> created;  // RFC 3339, as found
  std::string author;
  Platform platform;

  // The "config" object.
  std::string user;
  std::set<std::string> exposed_ports;  // "80/tcp"
  std::vector<std::string> env;         // "K=V", in order
  // nullopt is JSON null / absent; an empty vector is kept as it was written.
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> cmd;
  std::set<std::string> volumes;
  std::string working_dir;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  bool args_escaped = false;
  std::optional<Healthcheck> healthcheck;
  std::vector<std::string> on_build;
  std::optional<std::vector<std::string>> shell;

  std::vector<DiffId> diff_ids;
  std::vector<History> history;

  // Value of an environment variable (the last one of that name).
  std::optional<std::string_view> Env(std::string_view name) const;
  // Replaces in place, else appends (order is part of the digest).
  void SetEnv(std::string_view name, std::string_view value);
};

// At most kMaxConfigBytes; throws Error(kRegistry) on malformed JSON, on a
// rootfs.type other than "layers", on wrong types of known fields, on a key
// that an object has twice. Unknown keys are ignored, null is as absent.
ImageConfig ParseImageConfig(std::string_view bytes);
// Canonical JSON: BuildKit's key order (top level sorted, "config" in the order
// of the fields above), no white space, <>& not escaped. Empty members are left
// out as BuildKit does: an empty entrypoint or cmd, too.
std::string Serialize(const ImageConfig& config);

}  // namespace imgbuild::oci

#endif  // IMGBUILD_OCI_IMAGE_CONFIG_H_
