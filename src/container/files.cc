#include "container/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include <nlohmann/json.hpp>

namespace imgbuild::container {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFile = 1 << 20;

}  // namespace

void ReplaceFile(const std::string& dir, const std::string& name,
                 std::string_view text) {
  const UniqueFd parent = fs::OpenDir(AT_FDCWD, dir);
  const std::string temporary = fmt::format(".{}.{}", name, ::getpid());
  {
    const UniqueFd fd =
        fs::Open(parent.get(), temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    fs::WriteAll(fd.get(), AsBytes(text), dir + "/" + name);
  }
  fs::Rename(parent.get(), temporary, parent.get(), name);
}

std::optional<std::string> ReadSmallFile(const std::string& dir,
                                         const std::string& name) {
  return fs::ReadFileIfExists(AT_FDCWD, dir + "/" + name, kMaxFile);
}

void DropFile(const std::string& dir, const std::string& name) {
  ::unlink((dir + "/" + name).c_str());
}

std::string ToJson(const RunningRecord& record) {
  Json ports = Json::array();
  for (const exec::PortForward& port : record.ports) {
    ports.push_back(
        {port.host_address, port.host_port, port.container_port, port.udp});
  }
  const exec::StartedContainer& started = record.started;
  return Json{{"id", started.id},           {"pid", started.pid},
              {"run_dir", started.run_dir}, {"runtime", started.runtime},
              {"crun", started.crun},       {"cgroups", started.cgroups},
              {"ports", std::move(ports)}}
      .dump();
}

std::optional<RunningRecord> RunningFromJson(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    RunningRecord record;
    json.at("id").get_to(record.started.id);
    json.at("pid").get_to(record.started.pid);
    json.at("run_dir").get_to(record.started.run_dir);
    json.at("runtime").get_to(record.started.runtime);
    json.at("crun").get_to(record.started.crun);
    json.at("cgroups").get_to(record.started.cgroups);
    for (const Json& port : json.at("ports")) {
      record.ports.push_back(
          {port.at(0).get<std::string>(), port.at(1).get<uint16_t>(),
           port.at(2).get<uint16_t>(), port.at(3).get<bool>()});
    }
    return record;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

std::string ToJson(const Health& health) {
  Json log = Json::array();
  for (const Health::Probe& probe : health.log) {
    log.push_back({{"Start", probe.start},
                   {"End", probe.end},
                   {"ExitCode", probe.exit_code},
                   {"Output", probe.output}});
  }
  return Json{{"Status", health.status},
              {"FailingStreak", health.failing},
              {"Log", std::move(log)}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Health> HealthFromJson(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    Health health;
    json.at("Status").get_to(health.status);
    json.at("FailingStreak").get_to(health.failing);
    for (const Json& probe : json.at("Log")) {
      health.log.push_back({probe.at("Start").get<std::string>(),
                            probe.at("End").get<std::string>(),
                            probe.at("ExitCode").get<int>(),
                            probe.at("Output").get<std::string>()});
    }
    return health;
  } catch (const Json::exception&) {
    return std::nullopt;
  }
}

}  // namespace imgbuild::container
