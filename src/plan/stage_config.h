// The config of a stage in the making. A stage that begins with another one
// starts from a copy of the other's: what grows with the file is shared.
#ifndef IMGBUILD_PLAN_STAGE_CONFIG_H_
#define IMGBUILD_PLAN_STAGE_CONFIG_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/image_config.h"

#include "plan/shared_map.h"

namespace imgbuild::plan {

// The "Env" of a config: "K=V" texts, of which an image may have several of
// one name (the last counts) and some without a '='.
class ConfigEnv {
 public:
  ConfigEnv() = default;
  explicit ConfigEnv(const std::vector<std::string>& env);

  bool Has(std::string_view name) const { return items_.Find(name) != nullptr; }
  // Replaces in place, else appends (order is part of the digest).
  void Set(std::string_view name, std::string_view value);
  // All of that name; whether there were any.
  bool Erase(std::string_view name);
  std::vector<std::string> ToVector() const;

 private:
  // nullopt: without '='. One that a later one of its name hides is kept as
  // "NAME=0", "NAME=1", …: no name has a '='.
  OrderedMap<std::optional<std::string>> items_;
};

struct NoValue {};

struct StageConfig {
  StageConfig() = default;
  explicit StageConfig(const oci::ImageConfig& base);
  // With the base's layers and history; without `created` and `platform`.
  oci::ImageConfig ToImage() const;

  std::string author;
  std::string user;
  SharedMap<NoValue> exposed_ports;  // "80/tcp"
  ConfigEnv env;
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> cmd;
  SharedMap<NoValue> volumes;
  std::string working_dir;
  SharedMap<std::string> labels;
  std::string stop_signal;
  bool args_escaped = false;
  std::optional<oci::Healthcheck> healthcheck;
  std::vector<std::string> on_build;
  std::optional<std::vector<std::string>> shell;

 private:
  // Of the image that it stands on, if any.
  std::shared_ptr<const oci::ImageConfig> base_;
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_STAGE_CONFIG_H_
