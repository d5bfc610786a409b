// What a running container uses, and stopping it for a while.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "imgbuild/exec/running.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::exec {
namespace {

constexpr size_t kMaxFile = 1 << 20;
// A version 1 limit that is not set is near the largest number.
constexpr uint64_t kNoLimit = uint64_t{1} << 62;
constexpr auto kFreezeTimeout = std::chrono::seconds(10);

std::optional<std::string> ReadText(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return std::nullopt;
  std::string text;
  char buffer[4096];
  for (ssize_t n; text.size() < kMaxFile &&
                  (n = ::read(fd.get(), buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<size_t>(n));
  }
  return text;
}

std::optional<uint64_t> ReadNumber(const std::string& path) {
  const auto text = ReadText(path);
  return text ? ParseUint(Trim(*text)) : std::nullopt;
}

// "KEY VALUE" or "KEY: VALUE" lines.
uint64_t Field(const std::string& text, std::string_view key) {
  for (const std::string& line : Split(text, '\n')) {
    std::string_view rest = Trim(line);
    if (!rest.starts_with(key)) continue;
    rest.remove_prefix(key.size());
    if (rest.starts_with(':')) rest.remove_prefix(1);
    if (!rest.starts_with(' ') && !rest.starts_with('\t')) continue;
    rest = Trim(rest);
    return ParseUint(rest.substr(0, rest.find(' '))).value_or(0);
  }
  return 0;
}

void ReadCpu(const std::string& dir, ContainerUsage& usage, bool& found) {
  if (const auto text = ReadText(dir + "/cpu.stat")) {
    if (text->find("usage_usec") != std::string::npos) {
      usage.cpu_ns = Field(*text, "usage_usec") * 1000;
      found = true;
    }
  }
  if (const auto ns = ReadNumber(dir + "/cpuacct.usage")) {
    usage.cpu_ns = *ns;
    found = true;
  }
}

// As `docker stats` counts: without the page cache that is easily dropped.
void ReadMemory(const std::string& dir, ContainerUsage& usage, bool& found) {
  const bool v2 = ReadText(dir + "/memory.current").has_value();
  const auto used =
      ReadNumber(dir + (v2 ? "/memory.current" : "/memory.usage_in_bytes"));
  if (!used) return;
  found = true;
  const std::string stat = ReadText(dir + "/memory.stat").value_or("");
  const uint64_t inactive =
      Field(stat, v2 ? "inactive_file" : "total_inactive_file");
  usage.memory_bytes = *used > inactive ? *used - inactive : *used;
  const auto limit =
      ReadNumber(dir + (v2 ? "/memory.max" : "/memory.limit_in_bytes"));
  if (limit && *limit < kNoLimit) usage.memory_limit = *limit;
}

// user and system time in clock ticks: fields 14 and 15 behind the name.
uint64_t ProcessCpuNs(pid_t pid) {
  const auto text = ReadText(fmt::format("/proc/{}/stat", pid));
  if (!text) return 0;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> fields =
      Split(std::string_view(*text).substr(name_end + 2), ' ');
  if (fields.size() < 13) return 0;
  const uint64_t ticks =
      ParseUint(fields[11]).value_or(0) + ParseUint(fields[12]).value_or(0);
  return ticks *
         (1'000'000'000 / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
}

void ReadNetwork(pid_t pid, ContainerUsage& usage) {
  const auto text = ReadText(fmt::format("/proc/{}/net/dev", pid));
  if (!text) return;
  for (const std::string& line : Split(*text, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    if (Trim(line.substr(0, colon)) == "lo") continue;
    std::vector<uint64_t> numbers;
    for (const std::string& word : Split(line.substr(colon + 1), ' ')) {
      if (const auto number = ParseUint(word)) numbers.push_back(*number);
    }
    if (numbers.size() < 9) continue;
    usage.received_bytes += numbers[0];
    usage.sent_bytes += numbers[8];
  }
}

struct Freezer {
  std::string path;
  bool v2 = false;
};

std::optional<Freezer> FindFreezer(const StartedContainer& started) {
  for (const std::string& dir : started.cgroups) {
    if (ReadText(dir + "/freezer.state"))
      return Freezer{dir + "/freezer.state"};
  }
  for (const std::string& dir : started.cgroups) {
    if (ReadText(dir + "/cgroup.freeze")) {
      return Freezer{dir + "/cgroup.freeze", true};
    }
  }
  return std::nullopt;
}

}  // namespace

ContainerUsage ReadUsage(const StartedContainer& started,
                         const Running& running) {
  ContainerUsage usage;
  bool cpu = false;
  bool memory = false;
  for (const std::string& dir : started.cgroups) {
    if (!cpu) ReadCpu(dir, usage, cpu);
    if (!memory) ReadMemory(dir, usage, memory);
  }
  const std::vector<pid_t> processes = running.Processes();
  usage.processes = processes.size();
  for (const pid_t pid : processes) {
    if (!cpu) usage.cpu_ns += ProcessCpuNs(pid);
    if (!memory) {
      usage.memory_bytes +=
          1024 *
          Field(ReadText(fmt::format("/proc/{}/status", pid)).value_or(""),
                "VmRSS");
    }
    const std::string io =
        ReadText(fmt::format("/proc/{}/io", pid)).value_or("");
    usage.read_bytes += Field(io, "read_bytes");
    usage.written_bytes += Field(io, "write_bytes");
  }
  if (usage.memory_limit == 0) {
    usage.memory_limit =
        1024 * Field(ReadText("/proc/meminfo").value_or(""), "MemTotal");
  }
  if (!processes.empty()) ReadNetwork(processes.front(), usage);
  return usage;
}

void SetFrozen(const StartedContainer& started, bool frozen) {
  const auto freezer = FindFreezer(started);
  if (!freezer) {
    throw Error(ErrorCode::kHost,
                "pause: the container has no cgroup that can be frozen")
        .WithHint("run as root on a host with cgroup2 or the freezer cgroup");
  }
  const char* value =
      freezer->v2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");
  const UniqueFd fd = fs::Open(AT_FDCWD, freezer->path, O_WRONLY);
  fs::WriteAll(fd.get(), AsBytes(value), freezer->path);
  const auto deadline = std::chrono::steady_clock::now() + kFreezeTimeout;
  while (IsFrozen(started) != frozen) {
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorCode::kHost,
                  "pause: the kernel did not do it within "
                  "10 seconds");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

bool IsFrozen(const StartedContainer& started) {
  const auto freezer = FindFreezer(started);
  if (!freezer) return false;
  const std::string text = ReadText(freezer->path).value_or("");
  return freezer->v2 ? Trim(text) == "1" : Trim(text) == "FROZEN";
}

}  // namespace imgbuild::exec
