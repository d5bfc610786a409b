#include "plan/stage_config.h"

#include <map>

namespace imgbuild::plan {

ConfigEnv::ConfigEnv(const std::vector<std::string>& env) {
  std::map<std::string, size_t> left;  // of each name
  for (const std::string& text : env) ++left[text.substr(0, text.find('='))];
  std::map<std::string, size_t> hidden;
  for (const std::string& text : env) {
    const size_t eq = text.find('=');
    std::string name = text.substr(0, eq);
    if (--left[name] > 0) name += "=" + std::to_string(hidden[name]++);
    items_.Set(name, eq == std::string::npos
                         ? std::nullopt
                         : std::optional(text.substr(eq + 1)));
  }
}

void ConfigEnv::Set(std::string_view name, std::string_view value) {
  items_.Set(name, std::string(value));
}

bool ConfigEnv::Erase(std::string_view name) {
  const bool any = items_.Erase(name);
  for (size_t i = 0; items_.Erase(std::string(name) + "=" + std::to_string(i));
       ++i) {
  }
  return any;
}

std::vector<std::string> ConfigEnv::ToVector() const {
  std::vector<std::string> out;
  out.reserve(items_.size());
  items_.ForEach(
      [&](const std::string& key, const std::optional<std::string>& value) {
        std::string text = key.substr(0, key.find('='));
        if (value) text += "=" + *value;
        out.push_back(std::move(text));
      });
  return out;
}

StageConfig::StageConfig(const oci::ImageConfig& base)
    : author(base.author),
      user(base.user),
      env(base.env),
      entrypoint(base.entrypoint),
      cmd(base.cmd),
      working_dir(base.working_dir),
      stop_signal(base.stop_signal),
      args_escaped(base.args_escaped),
      healthcheck(base.healthcheck),
      on_build(base.on_build),
      shell(base.shell),
      base_(std::make_shared<const oci::ImageConfig>(base)) {
  for (const std::string& port : base.exposed_ports)
    exposed_ports.Set(port, {});
  for (const std::string& path : base.volumes) volumes.Set(path, {});
  for (const auto& [key, value] : base.labels) labels.Set(key, value);
}

oci::ImageConfig StageConfig::ToImage() const {
  oci::ImageConfig out = base_ ? *base_ : oci::ImageConfig{};
  out.created.reset();
  out.platform = {};
  out.author = author;
  out.user = user;
  out.exposed_ports.clear();
  exposed_ports.ForEach([&](const std::string& port, const NoValue&) {
    out.exposed_ports.insert(port);
  });
  out.env = env.ToVector();
  out.entrypoint = entrypoint;
  out.cmd = cmd;
  out.volumes.clear();
  volumes.ForEach([&](const std::string& path, const NoValue&) {
    out.volumes.insert(path);
  });
  out.working_dir = working_dir;
  out.labels.clear();
  labels.ForEach([&](const std::string& key, const std::string& value) {
    out.labels[key] = value;
  });
  out.stop_signal = stop_signal;
  out.args_escaped = args_escaped;
  out.healthcheck = healthcheck;
  out.on_build = on_build;
  out.shell = shell;
  return out;
}

}  // namespace imgbuild::plan
