// `imgbuild top`, `port` and `stats`: what a running container does.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>

#include "imgbuild/exec/running.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/process.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"
#include "cli/container_words.h"
#include "cli/list_format.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

// Docker's layout for `top`: each column twenty wide.
constexpr size_t kTopColumn = 20;

std::vector<std::string> Fields(const std::string& line, size_t columns) {
  std::vector<std::string> out;
  size_t at = 0;
  while (at < line.size() && out.size() < columns) {
    at = line.find_first_not_of(' ', at);
    if (at == std::string::npos) break;
    // The last one is the command, with its blanks.
    const size_t end =
        out.size() + 1 == columns ? std::string::npos : line.find(' ', at);
    out.push_back(line.substr(at, end - at));
    if (end == std::string::npos) break;
    at = end;
  }
  return out;
}

void PrintTopRow(const std::vector<std::string>& fields) {
  std::string line;
  for (size_t i = 0; i < fields.size(); ++i) {
    line += fields[i];
    if (i + 1 < fields.size() && fields[i].size() < kTopColumn) {
      line.append(kTopColumn - fields[i].size(), ' ');
    }
  }
  fmt::print("{}\n", line);
}

// Docker's decimal sizes have four digits here ("1.23kB / 4.5kB"), memory is
// binary ("1.5MiB").
std::string BinarySize(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.4g}{}", value, kUnits[unit]);
}

struct Sample {
  exec::ContainerUsage usage;
  std::chrono::steady_clock::time_point when;
};

std::optional<Sample> TakeSample(container::Containers& containers,
                                 const std::string& id) {
  const auto record = containers.RunningOf(id);
  if (!record) return std::nullopt;
  const auto running = exec::Running::Find(record->started);
  if (!running) return std::nullopt;
  return Sample{exec::ReadUsage(record->started, *running),
                std::chrono::steady_clock::now()};
}

Json StatsRow(const container::Container& container,
              const std::optional<Sample>& before,
              const std::optional<Sample>& now, bool full_id) {
  const exec::ContainerUsage usage = now ? now->usage : exec::ContainerUsage();
  double cpu = 0;
  if (before && now && now->when > before->when) {
    const auto elapsed =
        std::chrono::duration<double, std::nano>(now->when - before->when)
            .count();
    cpu = 100.0 *
          static_cast<double>(usage.cpu_ns -
                              std::min(before->usage.cpu_ns, usage.cpu_ns)) /
          elapsed;
  }
  const double memory = usage.memory_limit == 0
                            ? 0
                            : 100.0 * static_cast<double>(usage.memory_bytes) /
                                  static_cast<double>(usage.memory_limit);
  const std::string id =
      full_id ? container.record.id : container.record.id.substr(0, 12);
  return {{"BlockIO", HumanSize(usage.read_bytes) + " / " +
                          HumanSize(usage.written_bytes)},
          {"CPUPerc", fmt::format("{:.2f}%", cpu)},
          {"Container", id},
          {"ID", id},
          {"MemPerc", fmt::format("{:.2f}%", memory)},
          {"MemUsage", BinarySize(usage.memory_bytes) + " / " +
                           BinarySize(now ? usage.memory_limit : 0)},
          {"Name", container.record.name},
          {"NetIO", HumanSize(usage.received_bytes) + " / " +
                        HumanSize(usage.sent_bytes)},
          {"PIDs", std::to_string(usage.processes)}};
}

std::vector<container::Container> ChosenForStats(
    container::Containers& containers, const std::vector<std::string>& names,
    bool all) {
  std::vector<container::Container> out;
  for (const std::string& name : names) {
    out.push_back(containers.Require(name));
  }
  if (!names.empty()) return out;
  for (container::Container& container : containers.List()) {
    if (all || container.status.state == container::State::kRunning ||
        container.status.state == container::State::kPaused) {
      out.push_back(std::move(container));
    }
  }
  return out;
}

}  // namespace

int TopCommand(App& app, const Words& words) {
  std::vector<std::string> rest;
  Args args("top CONTAINER [PS OPTIONS]",
            "Show the processes of a container, as the host's ps does.");
  AddGlobalFlags(args, app.options);
  args.Rest(&rest);
  if (!args.Parse(words)) return 0;
  if (rest.empty()) {
    throw Error(ErrorCode::kUsage, "top needs a container")
        .WithHint("usage: imgbuild top CONTAINER [PS OPTIONS]");
  }
  return FailWithOne([&] {
    container::Containers containers(app.store());
    const exec::Running running =
        containers.RequireRunning(containers.Require(rest[0]));
    std::set<std::string> pids;
    for (const pid_t pid : running.Processes()) {
      pids.insert(std::to_string(pid));
    }
    ProcessOptions options;
    options.argv = {"ps"};
    if (!FindProgram("ps")) {
      throw Error(ErrorCode::kHost, "top: ps is not installed")
          .WithHint("apt-get install procps");
    }
    options.argv.insert(options.argv.end(), rest.begin() + 1, rest.end());
    if (rest.size() == 1) options.argv.emplace_back("-ef");
    const CommandResult result = RunCommand(options, "", 16 << 20);
    if (!result.status.ok()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("top: ps: {}", Trim(result.err)));
    }
    const std::vector<std::string> lines = Split(result.out, '\n');
    const size_t columns = Fields(lines.front(), lines.front().size()).size();
    const std::vector<std::string> titles = Fields(lines.front(), columns);
    const auto pid_at = std::ranges::find(titles, "PID") - titles.begin();
    if (pid_at == static_cast<ptrdiff_t>(titles.size())) {
      throw Error(ErrorCode::kUsage, "Couldn't find PID field in ps output");
    }
    PrintTopRow(titles);
    for (const std::string& line : lines) {
      const std::vector<std::string> fields = Fields(line, columns);
      if (fields.size() > static_cast<size_t>(pid_at) &&
          pids.contains(fields[static_cast<size_t>(pid_at)])) {
        PrintTopRow(fields);
      }
    }
    return 0;
  });
}

int PortCommand(App& app, const Words& words) {
  std::string name;
  std::string wanted;
  Args args("port CONTAINER [PORT[/PROTO]]", "Show its published ports.");
  args.Positional("CONTAINER", &name, true, "name or id");
  args.Positional("PORT", &wanted, false, "only this one");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] {
    container::Containers containers(app.store());
    const container::Container container = containers.Require(name);
    const auto record = containers.RunningOf(container.record.id);
    const std::string inner_wanted =
        wanted.find('/') == std::string::npos ? wanted + "/tcp" : wanted;
    bool any = false;
    for (const exec::PortForward& port :
         record ? record->ports : std::vector<exec::PortForward>()) {
      const std::string inner =
          fmt::format("{}/{}", port.container_port, port.udp ? "udp" : "tcp");
      if (!wanted.empty() && inner != inner_wanted) continue;
      any = true;
      const std::string head = wanted.empty() ? inner + " -> " : "";
      const std::vector<std::string> addresses =
          port.host_address.empty()
              ? std::vector<std::string>{"0.0.0.0", "[::]"}
              : std::vector<std::string>{port.host_address};
      for (const std::string& address : addresses) {
        fmt::print("{}{}:{}\n", head, address, port.host_port);
      }
    }
    if (!wanted.empty() && !any) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("No public port '{}' published for {}", wanted, name));
    }
    return 0;
  });
}

int StatsCommand(App& app, const Words& words) {
  bool all = false;
  bool once = false;
  bool full_id = false;
  std::string format;
  std::vector<std::string> names;
  Args args("stats [OPTIONS] [CONTAINER…]", "Show what containers use.");
  args.Flag("-a,--all", &all, "also those that do not run");
  args.Flag("--no-stream", &once, "once, not again and again");
  args.Flag("--no-trunc", &full_id, "whole ids");
  args.Value("--format", &format, "FORMAT", "table, json or a Go template");
  args.Positionals("CONTAINER", &names, false, "name or id (default: running)");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  return FailWithOne([&] {
    const ListFormat list(
        format,
        "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t"
        "{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
        {{"ID", "CONTAINER ID"},
         {"Container", "CONTAINER"},
         {"Name", "NAME"},
         {"CPUPerc", "CPU %"},
         {"MemUsage", "MEM USAGE / LIMIT"},
         {"MemPerc", "MEM %"},
         {"NetIO", "NET I/O"},
         {"BlockIO", "BLOCK I/O"},
         {"PIDs", "PIDS"}});
    container::Containers containers(app.store());
    ChosenForStats(containers, names, all);
    std::map<std::string, std::optional<Sample>> before;
    const bool screen = !once && ::isatty(STDOUT_FILENO) == 1;
    for (bool first = true;; first = false) {
      const auto chosen = ChosenForStats(containers, names, all);
      std::vector<Json> rows;
      for (const container::Container& container : chosen) {
        const auto now = TakeSample(containers, container.record.id);
        rows.push_back(
            StatsRow(container, before[container.record.id], now, full_id));
        before[container.record.id] = now;
      }
      // The first look has nothing to compare CPU time with.
      if (!first) {
        if (screen) fmt::print("\x1b[H\x1b[2J");
        fmt::print("{}", list.Render(rows));
        std::fflush(stdout);
        if (once) return 0;
      }
      SystemClock().Sleep(std::chrono::milliseconds(first ? 500 : 1000),
                          app.cancel.fd());
      app.cancel.Check();
    }
  });
}

}  // namespace imgbuild::cli
