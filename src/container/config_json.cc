// A container's options as JSON. Members that have their default are left out,
// so that a later version may add some.
#include <fmt/format.h>

#include "imgbuild/container/config.h"
#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

namespace imgbuild::container {
namespace {

using Json = nlohmann::json;

// Writes what differs from the default.
class Out {
 public:
  template <typename T>
  void Put(const char* key, const T& value, const T& standard = T()) {
    if (value != standard) json_[key] = value;
  }
  Json& json() { return json_; }

 private:
  Json json_ = Json::object();
};

// Reads what is there. Wrong types throw nlohmann's exceptions.
class In {
 public:
  explicit In(const Json& json) : json_(json) {
    if (!json.is_object()) {
      throw Error(ErrorCode::kHost,
                  "the record of a container is damaged: an "
                  "object is expected");
    }
  }
  template <typename T>
  void Get(const char* key, T& value) const {
    if (const auto it = json_.find(key); it != json_.end()) it->get_to(value);
  }
  const Json* Find(const char* key) const {
    const auto it = json_.find(key);
    return it == json_.end() ? nullptr : &*it;
  }

 private:
  const Json& json_;
};

Json FromVolume(const Volume& volume) {
  Out out;
  out.Put("source", volume.source);
  out.Put("target", volume.target);
  out.Put("read_only", volume.read_only);
  out.Put("tmpfs", volume.type == Volume::Type::kTmpfs);
  out.Put("size", volume.tmpfs_size);
  out.Put("mode", volume.tmpfs_mode, Volume().tmpfs_mode);
  return out.json();
}

Volume ToVolume(const Json& json) {
  const In in(json);
  Volume volume;
  bool tmpfs = false;
  in.Get("source", volume.source);
  in.Get("target", volume.target);
  in.Get("read_only", volume.read_only);
  in.Get("tmpfs", tmpfs);
  in.Get("size", volume.tmpfs_size);
  in.Get("mode", volume.tmpfs_mode);
  if (tmpfs) volume.type = Volume::Type::kTmpfs;
  return volume;
}

Json FromPort(const exec::PortForward& port) {
  Out out;
  out.Put("address", port.host_address);
  out.Put("host", port.host_port);
  out.Put("container", port.container_port);
  out.Put("udp", port.udp);
  return out.json();
}

exec::PortForward ToPort(const Json& json) {
  const In in(json);
  exec::PortForward port;
  in.Get("address", port.host_address);
  in.Get("host", port.host_port);
  in.Get("container", port.container_port);
  in.Get("udp", port.udp);
  return port;
}

Json FromLimits(const exec::ResourceLimits& limits) {
  const exec::ResourceLimits standard;
  Out out;
  out.Put("memory", limits.memory_bytes);
  out.Put("swap", limits.memory_swap_bytes);
  out.Put("quota", limits.cpu_quota_us);
  out.Put("period", limits.cpu_period_us, standard.cpu_period_us);
  out.Put("pids", limits.pids);
  out.Put("shm", limits.shm_bytes, standard.shm_bytes);
  for (const auto& limit : limits.ulimits) {
    out.json()["ulimits"].push_back({limit.name, limit.soft, limit.hard});
  }
  return out.json();
}

exec::ResourceLimits ToLimits(const Json& json) {
  const In in(json);
  exec::ResourceLimits limits;
  in.Get("memory", limits.memory_bytes);
  in.Get("swap", limits.memory_swap_bytes);
  in.Get("quota", limits.cpu_quota_us);
  in.Get("period", limits.cpu_period_us);
  in.Get("pids", limits.pids);
  in.Get("shm", limits.shm_bytes);
  if (const Json* list = in.Find("ulimits")) {
    for (const Json& entry : *list) {
      limits.ulimits.push_back({entry.at(0).get<std::string>(),
                                entry.at(1).get<uint64_t>(),
                                entry.at(2).get<uint64_t>()});
    }
  }
  return limits;
}

Json FromHealth(const oci::Healthcheck& health) {
  return {{"test", health.test},
          {"interval", health.interval_ns},
          {"timeout", health.timeout_ns},
          {"start_period", health.start_period_ns},
          {"start_interval", health.start_interval_ns},
          {"retries", health.retries}};
}

oci::Healthcheck ToHealth(const Json& json) {
  const In in(json);
  oci::Healthcheck health;
  in.Get("test", health.test);
  in.Get("interval", health.interval_ns);
  in.Get("timeout", health.timeout_ns);
  in.Get("start_period", health.start_period_ns);
  in.Get("start_interval", health.start_interval_ns);
  in.Get("retries", health.retries);
  return health;
}

// One list of the plain members for both directions.
template <typename Visitor, typename C>
void VisitPlain(Visitor&& visit, C& config) {
  visit("command", config.command);
  visit("env", config.env);
  visit("labels", config.labels);
  visit("working_dir", config.working_dir);
  visit("user", config.user);
  visit("groups", config.groups);
  visit("hostname", config.hostname);
  visit("network", config.network);
  visit("publish_all", config.publish_all);
  visit("extra_hosts", config.extra_hosts);
  visit("dns", config.dns);
  visit("dns_search", config.dns_search);
  visit("dns_options", config.dns_options);
  visit("terminal", config.terminal);
  visit("interactive", config.interactive);
  visit("read_only", config.read_only);
  visit("init", config.init);
  visit("privileged", config.privileged);
  visit("no_new_privileges", config.no_new_privileges);
  visit("seccomp_unconfined", config.seccomp_unconfined);
  visit("cap_add", config.cap_add);
  visit("cap_drop", config.cap_drop);
  visit("stop_signal", config.stop_signal);
  visit("stop_timeout", config.stop_timeout_s);
  visit("auto_remove", config.auto_remove);
}

}  // namespace

std::string ToJson(const Config& config) {
  Json json = Json::object();
  VisitPlain([&](const char* key, const auto& value) { json[key] = value; },
             config);
  if (config.entrypoint) json["entrypoint"] = *config.entrypoint;
  for (const Volume& volume : config.volumes) {
    json["volumes"].push_back(FromVolume(volume));
  }
  for (const exec::PortForward& port : config.ports) {
    json["ports"].push_back(FromPort(port));
  }
  json["limits"] = FromLimits(config.limits);
  if (config.health) json["health"] = FromHealth(*config.health);
  json["restart"] = ToString(config.restart);
  try {
    return json.dump();
  } catch (const Json::exception&) {
    throw Error(ErrorCode::kUsage,
                "an argument, variable or path is not valid UTF-8");
  }
}

Config ConfigFromJson(std::string_view text) {
  Config config;
  try {
    const Json json = Json::parse(text);
    const In in(json);
    VisitPlain([&](const char* key, auto& value) { in.Get(key, value); },
               config);
    if (const Json* value = in.Find("entrypoint")) {
      config.entrypoint = value->get<std::string>();
    }
    if (const Json* list = in.Find("volumes")) {
      for (const Json& entry : *list) {
        config.volumes.push_back(ToVolume(entry));
      }
    }
    if (const Json* list = in.Find("ports")) {
      for (const Json& entry : *list) config.ports.push_back(ToPort(entry));
    }
    if (const Json* limits = in.Find("limits")) {
      config.limits = ToLimits(*limits);
    }
    if (const Json* health = in.Find("health")) {
      config.health = ToHealth(*health);
    }
    if (const Json* restart = in.Find("restart")) {
      config.restart = ParseRestart(restart->get<std::string>());
    }
  } catch (const Json::exception& error) {
    throw Error(
        ErrorCode::kHost,
        fmt::format("the record of a container is damaged: {}", error.what()));
  }
  return config;
}

}  // namespace imgbuild::container
