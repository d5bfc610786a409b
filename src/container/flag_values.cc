// Values of single flags, in Docker's syntax.
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <csignal>
#include <cstring>

#include "imgbuild/container/config.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::container {
namespace {

struct Signal {
  const char* name;
  int number;
};
constexpr Signal kSignals[] = {
    {"ABRT", SIGABRT},   {"ALRM", SIGALRM}, {"BUS", SIGBUS},
    {"CHLD", SIGCHLD},   {"CONT", SIGCONT}, {"FPE", SIGFPE},
    {"HUP", SIGHUP},     {"ILL", SIGILL},   {"INT", SIGINT},
    {"IO", SIGIO},       {"KILL", SIGKILL}, {"PIPE", SIGPIPE},
    {"PROF", SIGPROF},   {"PWR", SIGPWR},   {"QUIT", SIGQUIT},
    {"SEGV", SIGSEGV},   {"STOP", SIGSTOP}, {"SYS", SIGSYS},
    {"TERM", SIGTERM},   {"TRAP", SIGTRAP}, {"TSTP", SIGTSTP},
    {"TTIN", SIGTTIN},   {"TTOU", SIGTTOU}, {"URG", SIGURG},
    {"USR1", SIGUSR1},   {"USR2", SIGUSR2}, {"VTALRM", SIGVTALRM},
    {"WINCH", SIGWINCH}, {"XCPU", SIGXCPU}, {"XFSZ", SIGXFSZ}};
// What programs may use; the C library takes two for itself.
constexpr int kFirstRealtime = 34;
constexpr int kLastRealtime = 64;

struct Unit {
  std::string_view name;
  double nanoseconds;
};
constexpr Unit kUnits[] = {{"ns", 1},  {"us", 1e3}, {"µs", 1e3},  {"ms", 1e6},
                           {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};

Error Invalid(const char* what, const std::string& text,
              const std::string& why) {
  return Error(ErrorCode::kUsage,
               fmt::format("invalid {} {}: {}", what, Quoted(text), why));
}

uint16_t ParsePort(const std::string& whole, const char* side,
                   std::string_view text) {
  const auto number = ParseUint(text);
  if (!number || *number > 65535) {
    throw Error(ErrorCode::kUsage, fmt::format("Invalid {}: {}", side, whole))
        .WithHint("the form is [[IP:]HOST:]CONTAINER[/tcp|/udp]");
  }
  return static_cast<uint16_t>(*number);
}

struct Range {
  uint16_t first = 0;
  uint16_t last = 0;
};

Range ParseRange(const std::string& whole, const char* side,
                 const std::string& text) {
  const size_t dash = text.find('-');
  Range range;
  range.first = ParsePort(whole, side, text.substr(0, dash));
  range.last = dash == std::string::npos
                   ? range.first
                   : ParsePort(whole, side, text.substr(dash + 1));
  if (range.last < range.first) {
    throw Error(ErrorCode::kUsage, fmt::format("Invalid {}: {}", side, whole))
        .WithHint("a range goes from the lower port to the higher one");
  }
  return range;
}

// Splits off "[::1]:" or "1.2.3.4:".
std::string TakeAddress(const std::string& whole, std::string& rest) {
  if (rest.starts_with('[')) {
    const size_t end = rest.find("]:");
    if (end == std::string::npos) {
      throw Error(ErrorCode::kUsage, "Invalid ip address: " + whole);
    }
    std::string address = rest.substr(1, end - 1);
    rest.erase(0, end + 2);
    return address;
  }
  const std::vector<std::string> parts = Split(rest, ':');
  if (parts.size() < 3) return "";
  if (parts.size() > 3) {
    throw Error(ErrorCode::kUsage, "Invalid ip address: " + whole)
        .WithHint("an IPv6 address stands in brackets");
  }
  rest = parts[1] + ":" + parts[2];
  return parts[0];
}

void SetTmpfsOption(const std::string& whole, const std::string& option,
                    Volume& volume) {
  const size_t equals = option.find('=');
  const std::string key = option.substr(0, equals);
  const std::string value =
      equals == std::string::npos ? "" : option.substr(equals + 1);
  if (key == "size" || key == "tmpfs-size") {
    const auto size = ParseByteSize(value);
    if (!size) throw Invalid("tmpfs", whole, "size is a number of bytes");
    volume.tmpfs_size = *size;
  } else if (key == "mode" || key == "tmpfs-mode") {
    uint32_t mode = 0;
    for (const char c : value) {
      if (c < '0' || c > '7' || mode > 0777) {
        throw Invalid("tmpfs", whole, "mode is an octal number");
      }
      mode = mode * 8 + static_cast<uint32_t>(c - '0');
    }
    if (value.empty()) throw Invalid("tmpfs", whole, "mode has no value");
    volume.tmpfs_mode = mode;
  } else if (key == "ro") {
    volume.read_only = true;
  } else if (key != "rw" && key != "nosuid" && key != "nodev") {
    throw Invalid("tmpfs", whole,
                  fmt::format("the option {} is not supported", Quoted(key)))
        .WithHint("size, mode, ro and rw are; nosuid and nodev always hold");
  }
}

void CheckTarget(const char* what, const std::string& text,
                 const std::string& target) {
  if (!target.starts_with('/')) {
    throw Invalid(what, text, "the container path is absolute");
  }
  if (fs::CleanRelative(target).empty()) {
    throw Invalid(what, text, "the container path is its root");
  }
}

}  // namespace

Volume ParseVolume(const std::string& text) {
  const auto invalid = [&](const std::string& why) {
    return Invalid("volume", text, why)
        .WithHint("the form is /HOST/PATH:/CONTAINER/PATH[:ro|rw]");
  };
  const std::vector<std::string> parts = Split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) {
    throw invalid("it has no host path and container path");
  }
  Volume volume{parts[0], parts[1]};
  if (!volume.source.starts_with('/')) {
    throw invalid("named volumes are not supported; the host path is absolute");
  }
  if (!volume.target.starts_with('/')) {
    throw invalid("the container path is absolute");
  }
  if (fs::CleanRelative(volume.target).empty()) {
    throw invalid("the container path is its root");
  }
  if (parts.size() == 3) {
    if (parts[2] != "ro" && parts[2] != "rw") {
      throw invalid("the mode is ro or rw");
    }
    volume.read_only = parts[2] == "ro";
  }
  return volume;
}

Volume ParseMount(const std::string& text) {
  Volume volume;
  std::string type = "volume";
  std::vector<std::string> tmpfs;
  for (const std::string& field : Split(text, ',')) {
    const size_t equals = field.find('=');
    const std::string key = ToLower(field.substr(0, equals));
    const std::string value =
        equals == std::string::npos ? "" : field.substr(equals + 1);
    if (key == "type") {
      type = value;
    } else if (key == "source" || key == "src") {
      volume.source = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      volume.target = value;
    } else if (key == "readonly" || key == "ro") {
      if (!value.empty() && value != "true" && value != "1" &&
          value != "false" && value != "0") {
        throw Invalid("mount", text, key + " is true or false");
      }
      volume.read_only = value != "false" && value != "0";
    } else if (key == "tmpfs-size" || key == "tmpfs-mode") {
      tmpfs.push_back(field);
    } else if (key == "bind-propagation" && value == "rprivate") {
      // What every mount has.
    } else {
      throw Invalid("mount", text,
                    fmt::format("the key {} is not supported", Quoted(key)))
          .WithHint(
              "type, source, target, readonly, tmpfs-size and "
              "tmpfs-mode are");
    }
  }
  CheckTarget("mount", text, volume.target);
  if (type == "tmpfs") {
    volume.type = Volume::Type::kTmpfs;
    if (!volume.source.empty()) {
      throw Invalid("mount", text, "a tmpfs has no source");
    }
    for (const std::string& option : tmpfs) {
      SetTmpfsOption(text, option, volume);
    }
    return volume;
  }
  if (!tmpfs.empty()) {
    throw Invalid("mount", text, "tmpfs options need type=tmpfs");
  }
  if (type != "bind") {
    throw Invalid("mount", text, "type=" + type + " is not supported")
        .WithHint("type=bind and type=tmpfs are");
  }
  if (!volume.source.starts_with('/')) {
    throw Invalid("mount", text, "source is an absolute host path");
  }
  return volume;
}

Volume ParseTmpfs(const std::string& text) {
  Volume volume;
  volume.type = Volume::Type::kTmpfs;
  const size_t colon = text.find(':');
  volume.target = text.substr(0, colon);
  CheckTarget("tmpfs", text, volume.target);
  if (colon == std::string::npos) return volume;
  for (const std::string& option : Split(text.substr(colon + 1), ',')) {
    SetTmpfsOption(text, option, volume);
  }
  return volume;
}

std::vector<exec::PortForward> ParsePorts(const std::string& text) {
  std::string rest = text;
  bool udp = false;
  if (const size_t slash = rest.rfind('/'); slash != std::string::npos) {
    const std::string protocol = ToLower(rest.substr(slash + 1));
    if (protocol != "tcp" && protocol != "udp") {
      throw Error(ErrorCode::kUsage, "Invalid proto: " + protocol)
          .WithHint("it is tcp or udp");
    }
    udp = protocol == "udp";
    rest.erase(slash);
  }
  const std::string address = TakeAddress(text, rest);
  const size_t colon = rest.find(':');
  const std::string inner =
      colon == std::string::npos ? rest : rest.substr(colon + 1);
  const std::string outer =
      colon == std::string::npos ? "" : rest.substr(0, colon);
  const Range container = ParseRange(inner, "containerPort", inner);
  Range host;
  if (!outer.empty()) host = ParseRange(outer, "hostPort", outer);
  if (!outer.empty() &&
      host.last - host.first != container.last - container.first) {
    throw Error(ErrorCode::kUsage,
                fmt::format("Invalid ranges specified for container and host "
                            "Ports: {} and {}",
                            inner, outer));
  }
  std::vector<exec::PortForward> ports;
  for (int i = 0; i <= container.last - container.first; ++i) {
    const auto offset = static_cast<uint16_t>(i);
    ports.push_back({address,
                     outer.empty() ? uint16_t{0}
                                   : static_cast<uint16_t>(host.first + offset),
                     static_cast<uint16_t>(container.first + offset), udp});
  }
  return ports;
}

exec::ResourceLimits::Ulimit ParseUlimit(const std::string& text) {
  const auto invalid = [&] {
    return Error(ErrorCode::kUsage, "invalid ulimit argument: " + text)
        .WithHint("the form is NAME=SOFT[:HARD]");
  };
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) throw invalid();
  const auto number = [&](const std::string& word) {
    if (word == "-1" || word == "unlimited") return ~uint64_t{0};
    const auto value = ParseUint(word);
    if (!value) throw invalid();
    return *value;
  };
  const std::vector<std::string> values = Split(text.substr(equals + 1), ':');
  if (values.size() > 2) throw invalid();
  exec::ResourceLimits::Ulimit limit;
  limit.name = text.substr(0, equals);
  limit.soft = number(values[0]);
  limit.hard = values.size() == 2 ? number(values[1]) : limit.soft;
  return limit;
}

int ParseSignal(const std::string& text) {
  std::string name = text;
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  if (name.starts_with("SIG")) name.erase(0, 3);
  if (const auto number = ParseUint(text)) {
    if (*number >= 1 && *number <= kLastRealtime) {
      return static_cast<int>(*number);
    }
  }
  for (const Signal& signal : kSignals) {
    if (name == signal.name) return signal.number;
  }
  if (name.starts_with("RTMIN")) {
    const auto offset = name == "RTMIN" ? std::optional<uint64_t>(0)
                        : name.size() > 6 && name[5] == '+'
                            ? ParseUint(name.substr(6))
                            : std::nullopt;
    if (offset && *offset <= kLastRealtime - kFirstRealtime) {
      return kFirstRealtime + static_cast<int>(*offset);
    }
  }
  throw Error(ErrorCode::kUsage, "invalid signal: " + text);
}

std::string SignalName(int number) {
  for (const Signal& signal : kSignals) {
    if (signal.number == number) return std::string("SIG") + signal.name;
  }
  return std::to_string(number);
}

int64_t ParseDuration(const std::string& text) {
  const auto invalid = [&] {
    return Error(ErrorCode::kUsage,
                 fmt::format("invalid duration {}", Quoted(text)))
        .WithHint("it is like 30s, 1m30s or 500ms");
  };
  if (text == "0") return 0;
  std::string_view rest = text;
  if (rest.empty()) throw invalid();
  double total = 0;
  while (!rest.empty()) {
    size_t digits = 0;
    while (
        digits < rest.size() &&
        ((rest[digits] >= '0' && rest[digits] <= '9') || rest[digits] == '.')) {
      ++digits;
    }
    if (digits == 0) throw invalid();
    size_t used = 0;
    double value = 0;
    try {
      value = std::stod(std::string(rest.substr(0, digits)), &used);
    } catch (const std::exception&) {
      throw invalid();
    }
    if (used != digits) throw invalid();
    rest.remove_prefix(digits);
    size_t letters = 0;
    while (letters < rest.size() &&
           !(rest[letters] >= '0' && rest[letters] <= '9') &&
           rest[letters] != '.') {
      ++letters;
    }
    const std::string_view unit = rest.substr(0, letters);
    double scale = 0;
    for (const Unit& known : kUnits) {
      if (unit == known.name) scale = known.nanoseconds;
    }
    if (scale == 0) throw invalid();
    total += value * scale;
    rest.remove_prefix(letters);
  }
  if (total > 9e18) throw invalid();
  return static_cast<int64_t>(total);
}

uint64_t ParseCpus(const std::string& text) {
  const auto invalid = [&] {
    return Error(ErrorCode::kUsage,
                 fmt::format("failed to parse {} as a rational number", text))
        .WithHint("--cpus is like 0.5 or 2");
  };
  size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    throw invalid();
  }
  if (used != text.size() || !(value > 0) || value > 1e6) throw invalid();
  const auto quota = static_cast<uint64_t>(std::llround(value * 100000));
  if (quota < 1000) {
    throw Error(ErrorCode::kUsage, "--cpus is at least 0.01");
  }
  return quota;
}

RestartPolicy ParseRestart(const std::string& text) {
  RestartPolicy policy;
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  if (name == "on-failure") {
    policy.when = RestartPolicy::When::kOnFailure;
  } else if (name == "always") {
    policy.when = RestartPolicy::When::kAlways;
  } else if (name == "unless-stopped") {
    policy.when = RestartPolicy::When::kUnlessStopped;
  } else if (name != "no" && !name.empty()) {
    throw Error(ErrorCode::kUsage,
                fmt::format("invalid restart policy: unknown policy '{}'; use "
                            "one of 'no', 'always', 'on-failure', or "
                            "'unless-stopped'",
                            name));
  }
  if (colon == std::string::npos) return policy;
  const auto count = ParseUint(text.substr(colon + 1));
  if (!count || *count > 1000000) {
    throw Error(ErrorCode::kUsage,
                "invalid restart policy format: maximum retry count must be "
                "an integer");
  }
  if (policy.when != RestartPolicy::When::kOnFailure) {
    throw Error(ErrorCode::kUsage,
                "invalid restart policy: maximum retry count can only be used "
                "with 'on-failure'");
  }
  policy.max_retries = static_cast<int>(*count);
  return policy;
}

std::string ToString(const RestartPolicy& policy) {
  switch (policy.when) {
    case RestartPolicy::When::kNo:
      return "no";
    case RestartPolicy::When::kOnFailure:
      return policy.max_retries == 0
                 ? "on-failure"
                 : fmt::format("on-failure:{}", policy.max_retries);
    case RestartPolicy::When::kAlways:
      return "always";
    case RestartPolicy::When::kUnlessStopped:
      break;
  }
  return "unless-stopped";
}

}  // namespace imgbuild::container
