#include "cli/container_description.h"

#include <fmt/format.h>

#include "imgbuild/container/run.h"
#include "imgbuild/exec/running.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;
using container::Config;
using container::Container;

// Go's zero time, for what has not happened.
constexpr char kNever[] = "0001-01-01T00:00:00Z";
constexpr uint64_t kNanoCpusPerQuota = 10'000;

std::string Time(int64_t ns) {
  return ns == 0 ? kNever : container::FormatNs(ns);
}

// Go shows a nil slice as null.
Json ListOrNull(const std::vector<std::string>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

Json State(container::Containers& containers, const Container& container) {
  const container::Status& status = container.status;
  const auto is = [&](container::State state) { return status.state == state; };
  pid_t pid = 0;
  if (const auto record = containers.RunningOf(container.record.id)) {
    if (const auto running = exec::Running::Find(record->started)) {
      pid = running->InitPid();
    }
  }
  Json out = {{"Status", std::string(container::ToString(status.state))},
              {"Running",
               is(container::State::kRunning) || is(container::State::kPaused)},
              {"Paused", is(container::State::kPaused)},
              {"Restarting", is(container::State::kRestarting)},
              {"OOMKilled", container.record.out_of_memory},
              {"Dead", false},
              {"Pid", pid},
              {"ExitCode", status.exit_code},
              {"Error", container.record.error},
              {"StartedAt", Time(status.started_ns)},
              {"FinishedAt", Time(status.finished_ns)}};
  if (const auto health = containers.HealthJson(container.record.id)) {
    out["Health"] = Json::parse(*health, nullptr, false);
  }
  return out;
}

std::string InnerPort(const exec::PortForward& port) {
  return fmt::format("{}/{}", port.container_port, port.udp ? "udp" : "tcp");
}

Json PortMap(const std::vector<exec::PortForward>& ports, bool bound) {
  Json out = Json::object();
  for (const exec::PortForward& port : ports) {
    const std::string number =
        port.host_port == 0 ? "" : std::to_string(port.host_port);
    if (!bound || !port.host_address.empty()) {
      out[InnerPort(port)].push_back(
          {{"HostIp", port.host_address}, {"HostPort", number}});
      continue;
    }
    for (const char* address : {"0.0.0.0", "::"}) {
      out[InnerPort(port)].push_back(
          {{"HostIp", address}, {"HostPort", number}});
    }
  }
  return out;
}

Json Mounts(const Config& config) {
  Json out = Json::array();
  for (const container::Volume& volume : config.volumes) {
    const bool tmpfs = volume.type == container::Volume::Type::kTmpfs;
    out.push_back({{"Type", tmpfs ? "tmpfs" : "bind"},
                   {"Source", volume.source},
                   {"Destination", volume.target},
                   {"Mode", volume.read_only ? "ro" : ""},
                   {"RW", !volume.read_only},
                   {"Propagation", tmpfs ? "" : "rprivate"}});
  }
  return out;
}

Json HostConfig(const Config& config) {
  Json binds = Json::array();
  for (const container::Volume& volume : config.volumes) {
    if (volume.type != container::Volume::Type::kBind) continue;
    binds.push_back(volume.source + ":" + volume.target +
                    (volume.read_only ? ":ro" : ""));
  }
  Json hosts = Json::array();
  for (const auto& [name, address] : config.extra_hosts) {
    hosts.push_back(name + ":" + address);
  }
  Json ulimits = Json::array();
  for (const auto& limit : config.limits.ulimits) {
    ulimits.push_back(
        {{"Name", limit.name}, {"Hard", limit.hard}, {"Soft", limit.soft}});
  }
  std::vector<std::string> security;
  if (config.no_new_privileges) security.emplace_back("no-new-privileges");
  if (config.seccomp_unconfined) security.emplace_back("seccomp=unconfined");
  const std::string policy = container::ToString(config.restart);
  return {
      {"Binds", binds.empty() ? Json(nullptr) : std::move(binds)},
      {"NetworkMode", config.network == "default" ? "bridge" : config.network},
      {"PortBindings", PortMap(config.ports, false)},
      {"RestartPolicy",
       {{"Name", policy.substr(0, policy.find(':'))},
        {"MaximumRetryCount", config.restart.max_retries}}},
      {"AutoRemove", config.auto_remove},
      {"CapAdd", ListOrNull(config.cap_add)},
      {"CapDrop", ListOrNull(config.cap_drop)},
      {"Dns", config.dns},
      {"DnsOptions", config.dns_options},
      {"DnsSearch", config.dns_search},
      {"ExtraHosts", hosts.empty() ? Json(nullptr) : std::move(hosts)},
      {"GroupAdd", ListOrNull(config.groups)},
      {"Privileged", config.privileged},
      {"PublishAllPorts", config.publish_all},
      {"ReadonlyRootfs", config.read_only},
      {"SecurityOpt", ListOrNull(security)},
      {"ShmSize", config.limits.shm_bytes},
      {"Memory", config.limits.memory_bytes},
      {"MemorySwap", config.limits.memory_swap_bytes},
      {"NanoCpus", config.limits.cpu_quota_us * kNanoCpusPerQuota},
      {"PidsLimit",
       config.limits.pids == 0 ? Json(nullptr) : Json(config.limits.pids)},
      {"Ulimits", std::move(ulimits)},
      {"Init", config.init}};
}

Json ConfigSection(const oci::ImageConfig& image, const Container& container) {
  const Config& config = container.config;
  Json labels = Json::object();
  for (const auto& [key, value] : container::LabelsOf(image, config)) {
    labels[key] = value;
  }
  Json ports = Json::object();
  for (const std::string& port : image.exposed_ports) {
    ports[port] = Json::object();
  }
  for (const exec::PortForward& port : config.ports) {
    ports[InnerPort(port)] = Json::object();
  }
  std::vector<std::string> env = config.env;
  for (const std::string& pair : image.env) {
    const std::string name = pair.substr(0, pair.find('=') + 1);
    bool set = false;
    for (const std::string& own : config.env) {
      set = set || own.starts_with(name);
    }
    if (!set) env.push_back(pair);
  }
  Json entrypoint = nullptr;
  if (config.entrypoint) {
    if (!config.entrypoint->empty()) entrypoint = {*config.entrypoint};
  } else if (image.entrypoint && !image.entrypoint->empty()) {
    entrypoint = *image.entrypoint;
  }
  Json command = ListOrNull(config.command);
  if (config.command.empty() && !config.entrypoint && image.cmd) {
    command = ListOrNull(*image.cmd);
  }
  Json out = {{"Hostname", config.hostname},
              {"User", config.user.empty() ? image.user : config.user},
              {"ExposedPorts", std::move(ports)},
              {"Tty", config.terminal},
              {"OpenStdin", config.interactive},
              {"Env", std::move(env)},
              {"Cmd", std::move(command)},
              {"Image", container.record.reference},
              {"WorkingDir", config.working_dir.empty() ? image.working_dir
                                                        : config.working_dir},
              {"Entrypoint", std::move(entrypoint)},
              {"Labels", std::move(labels)},
              {"StopSignal",
               container::SignalName(container::StopSignalOf(image, config))},
              {"StopTimeout", config.stop_timeout_s}};
  if (const auto health = container::HealthcheckOf(image, config)) {
    out["Healthcheck"] = {{"Test", health->test},
                          {"Interval", health->interval_ns},
                          {"Timeout", health->timeout_ns},
                          {"StartPeriod", health->start_period_ns},
                          {"StartInterval", health->start_interval_ns},
                          {"Retries", health->retries}};
  }
  return out;
}

}  // namespace

Json DescribeContainer(container::Containers& containers,
                       const Container& container, bool size) {
  const store::ContainerRecord& record = container.record;
  const oci::ImageConfig image = containers.ImageConfigOf(record);
  std::vector<std::string> args = container::CommandOf(image, container.config);
  const std::string path = args.empty() ? "" : args.front();
  if (!args.empty()) args.erase(args.begin());
  const auto running = containers.RunningOf(record.id);
  Json out = {
      {"Id", record.id},
      {"Created", container::FormatNs(record.created_ns)},
      {"Path", path},
      {"Args", args},
      {"State", State(containers, container)},
      {"Image", record.image.digest().ToString()},
      {"ImageManifestDescriptor", {{"digest", record.manifest.ToString()}}},
      {"LogPath", containers.Directory(record.id) + "/" + container::kLogFile},
      {"Name", "/" + record.name},
      {"RestartCount", record.restarts},
      {"Driver", "overlay"},
      {"Platform", image.platform.os},
      {"HostConfig", HostConfig(container.config)},
      {"Mounts", Mounts(container.config)},
      {"Config", ConfigSection(image, container)},
      {"NetworkSettings",
       {{"Ports", running ? PortMap(running->ports, true) : Json::object()}}}};
  if (size) out["SizeRw"] = containers.WritableSize(record.id);
  return out;
}

TemplateShape ContainerShape() {
  TemplateShape shape;
  shape.maps = {"Labels", "ExposedPorts", "PortBindings", "Ports"};
  shape.lists = {"Entrypoint", "Cmd", "CapAdd", "CapDrop", "Binds"};
  return shape;
}

}  // namespace imgbuild::cli
