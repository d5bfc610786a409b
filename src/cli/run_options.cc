#include "cli/run_options.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kMaxEnvFile = 1 << 20;

Error UsageError(std::string message, std::string hint = "") {
  Error error(ErrorCode::kUsage, std::move(message));
  return hint.empty() ? error : error.WithHint(std::move(hint));
}

uint64_t Bytes(const char* flag, const std::string& text) {
  if (const auto bytes = ParseByteSize(text)) return *bytes;
  throw UsageError(fmt::format("invalid argument {} for {}: invalid size: '{}'",
                               Quoted(text), flag, text),
                   "it is like 512m or 2g");
}

int64_t Number(const char* flag, const std::string& text) {
  if (const auto number = ParseInt(text)) return *number;
  throw UsageError(fmt::format("invalid argument {} for {}: it is a number",
                               Quoted(text), flag));
}

std::pair<std::string, std::string> ParseLabel(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == 0 || text.empty()) {
    throw UsageError(fmt::format("invalid label '{}': empty name", text));
  }
  return {text.substr(0, equals),
          equals == std::string::npos ? "" : text.substr(equals + 1)};
}

std::vector<std::string> FileLines(const std::string& path) {
  std::vector<std::string> lines;
  for (const std::string& line :
       Split(fs::ReadFile(AT_FDCWD, path, kMaxEnvFile), '\n')) {
    std::string_view text = line;
    if (text.ends_with('\r')) text.remove_suffix(1);
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
      text.remove_prefix(1);
    }
    if (!text.empty() && text.front() != '#') lines.emplace_back(text);
  }
  return lines;
}

bool IsAddress(const std::string& text) {
  in6_addr address{};
  return inet_pton(AF_INET, text.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

std::pair<std::string, std::string> ParseAddHost(const std::string& word) {
  size_t separator = word.find('=');
  if (separator == std::string::npos) separator = word.find(':');
  if (separator == std::string::npos || separator == 0) {
    throw UsageError(fmt::format("bad format for add-host: {}", Quoted(word)),
                     "the form is NAME:IP");
  }
  std::string address = word.substr(separator + 1);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  if (address == "host-gateway") {
    throw UsageError(
        "host-gateway is not supported: containers have no way "
        "to the host's loopback",
        "use --network host, or the host's own address");
  }
  if (!IsAddress(address)) {
    throw UsageError("invalid IP address in add-host: " + Quoted(address));
  }
  return {word.substr(0, separator), address};
}

std::string CheckNetwork(const std::string& text) {
  if (text == "default" || text == "bridge") return "default";
  if (text == "none" || text == "host") return text;
  if (text.starts_with("container:") && text.size() > 10) return text;
  throw UsageError(fmt::format("network {} not found", text),
                   "it is default (or bridge), none, host or container:NAME; "
                   "there are no others");
}

}  // namespace

std::vector<std::string> ResolveEnv(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    if (word.empty() || word.front() == '=') {
      throw UsageError("invalid environment variable: " + word);
    }
    if (word.find('=') != std::string::npos) {
      out.push_back(word);
    } else if (const char* value = std::getenv(word.c_str())) {
      out.push_back(word + "=" + value);
    }
  }
  return out;
}

std::vector<std::string> ReadEnvFile(const std::string& path) {
  std::vector<std::string> words;
  for (const std::string& line : FileLines(path)) {
    const std::string name = line.substr(0, line.find('='));
    if (name.empty() || name.find_first_of(" \t") != std::string::npos) {
      throw UsageError(fmt::format(
          "invalid env file {}: variable {} {}", Quoted(path), Quoted(name),
          name.empty() ? "has no name" : "contains white space"));
    }
    words.push_back(line);
  }
  return ResolveEnv(words);
}

void RunOptions::AddTo(Args& args) {
  args.FreeShortH();
  AddProcessFlags(args);
  AddMountAndNetworkFlags(args);
  AddLimitFlags(args);
  AddHealthFlags(args);
  args.Value("--platform", &platform_, "OS/ARCH", "which one to run");
  args.Value("--pull", &pull_, "POLICY", "missing, always or never");
  args.Flag("-q,--quiet", &quiet, "no words about pulling");
  lock_.AddTo(args);
  args.Rest(&words);
}

void RunOptions::AddProcessFlags(Args& args) {
  args.Value("--name", &name_, "NAME", "its name (default: two words)");
  args.Flag("-i,--interactive", &interactive_, "pass standard input on");
  args.Flag("-t,--tty", &terminal_, "give it a terminal");
  args.Flag("--rm", &remove, "remove it when it ends");
  args.List("-e,--env", &env_, "K[=V]", "set a variable");
  args.List("--env-file", &env_files_, "FILE", "variables, one a line");
  args.List("-l,--label", &labels_, "K[=V]", "a label of the container");
  args.List("--label-file", &label_files_, "FILE", "labels, one a line");
  args.Value("-w,--workdir", &working_dir_, "DIR", "where it starts");
  args.Value("-u,--user", &user_, "USER[:GROUP]", "who it runs as");
  args.List("--group-add", &groups_, "GROUP", "a further group");
  args.Value("--entrypoint", &entrypoint_, "PROGRAM",
             "in place of the image's");
  args.Value("--cidfile", &cidfile_, "FILE", "write the id there");
  args.Flag("--init", &init_, "an init as process 1, which reaps");
  args.Value("--stop-signal", &stop_signal_, "SIGNAL", "what `stop` sends");
  args.Value("--stop-timeout", &stop_timeout_, "SECONDS",
             "how long `stop` waits before it kills (10)");
  args.Value("--restart", &restart_, "POLICY",
             "no, on-failure[:N], always or unless-stopped");
}

void RunOptions::AddMountAndNetworkFlags(Args& args) {
  args.List("-v,--volume", &volumes_, "HOST:PATH[:ro]",
            "mount a file or directory of the host");
  args.List("--mount", &mounts_, "type=…,…", "the same in long; or a tmpfs");
  args.List("--tmpfs", &tmpfs_, "PATH[:size=…]", "mount an empty tmpfs");
  args.Flag("--read-only", &read_only_, "its root is read-only");
  args.List("-p,--publish", &ports_, "[[IP:]HOST:]PORT[/udp]",
            "a port of the host that leads to it");
  args.Flag("-P,--publish-all", &publish_all_,
            "all ports that the image exposes, to free ones of the host");
  args.Value("--network,--net", &network_, "MODE",
             "default, none, host or container:NAME");
  args.Value("-h,--hostname", &hostname_, "NAME", "its host name");
  args.List("--add-host", &add_hosts_, "NAME:IP", "a line of /etc/hosts");
  args.List("--dns", &dns_, "IP", "a name server in place of the host's");
  args.List("--dns-search", &dns_search_, "DOMAIN", "a search domain");
  args.List("--dns-option", &dns_options_, "OPTION",
            "an option of resolv.conf");
}

void RunOptions::AddLimitFlags(Args& args) {
  args.Value("-m,--memory", &memory_, "BYTES", "at most this much memory");
  args.Value("--memory-swap", &memory_swap_, "BYTES", "memory plus swap");
  args.Value("--cpus", &cpus_, "N", "at most this many CPUs: 1.5");
  args.Value("--cpu-period", &cpu_period_, "MICROSECONDS", "");
  args.Value("--cpu-quota", &cpu_quota_, "MICROSECONDS", "CPU time a period");
  args.Value("--pids-limit", &pids_limit_, "N", "at most this many processes");
  args.Value("--shm-size", &shm_size_, "BYTES", "of /dev/shm (64m)");
  args.List("--ulimit", &ulimits_, "NAME=SOFT[:HARD]", "a resource limit");
  args.List("--cap-add", &cap_add_, "CAP", "add a capability");
  args.List("--cap-drop", &cap_drop_, "CAP", "drop a capability");
  args.List("--security-opt", &security_, "OPTION",
            "no-new-privileges, seccomp=unconfined");
  args.Flag("--privileged", &privileged_,
            "all capabilities and devices, no seccomp");
}

void RunOptions::AddHealthFlags(Args& args) {
  args.Value("--health-cmd", &health_cmd_, "COMMAND", "how to check it");
  args.Value("--health-interval", &health_interval_, "DURATION",
             "between checks (30s)");
  args.Value("--health-timeout", &health_timeout_, "DURATION",
             "of one check (30s)");
  args.Value("--health-retries", &health_retries_, "N",
             "failures in a row that make it unhealthy (3)");
  args.Value("--health-start-period", &health_start_period_, "DURATION",
             "failures do not count at first");
  args.Value("--health-start-interval", &health_start_interval_, "DURATION",
             "between checks in that time (5s)");
  args.Flag("--no-healthcheck", &no_healthcheck_, "not even the image's");
}

void RunOptions::TakeProcess(container::Config& config) const {
  config.command.assign(words.begin() + 1, words.end());
  if (entrypoint_ != "\x01") config.entrypoint = entrypoint_;
  for (const std::string& path : env_files_) {
    for (std::string& pair : ReadEnvFile(path)) {
      config.env.push_back(std::move(pair));
    }
  }
  for (std::string& pair : ResolveEnv(env_)) {
    config.env.push_back(std::move(pair));
  }
  for (const std::string& path : label_files_) {
    for (const std::string& line : FileLines(path)) {
      config.labels.push_back(ParseLabel(line));
    }
  }
  for (const std::string& word : labels_) {
    config.labels.push_back(ParseLabel(word));
  }
  config.working_dir = working_dir_;
  config.user = user_;
  config.groups = groups_;
  config.hostname = hostname_;
  config.init = init_;
  config.interactive = interactive_;
  config.terminal = terminal_;
  config.auto_remove = remove;
  config.stop_signal = stop_signal_;
  if (!stop_timeout_.empty()) {
    config.stop_timeout_s =
        static_cast<int>(Number("--stop-timeout", stop_timeout_));
  }
  if (remove && !restart_.empty() && restart_ != "no") {
    throw UsageError(
        "conflicting options: cannot specify both --restart and --rm");
  }
  if (pull_ != "missing" && pull_ != "always" && pull_ != "never") {
    throw UsageError(
        fmt::format("invalid pull option: '{}': must be one of "
                    "\"always\", \"missing\" or \"never\"",
                    pull_));
  }
}

void RunOptions::TakeMountsAndNetwork(container::Config& config) const {
  for (const std::string& word : volumes_) {
    config.volumes.push_back(container::ParseVolume(word));
  }
  for (const std::string& word : mounts_) {
    config.volumes.push_back(container::ParseMount(word));
  }
  for (const std::string& word : tmpfs_) {
    config.volumes.push_back(container::ParseTmpfs(word));
  }
  config.read_only = read_only_;
  config.network = CheckNetwork(network_);
  for (const std::string& word : ports_) {
    for (exec::PortForward& port : container::ParsePorts(word)) {
      if (!port.host_address.empty() && !IsAddress(port.host_address)) {
        throw UsageError("Invalid ip address: " + port.host_address);
      }
      config.ports.push_back(std::move(port));
    }
  }
  config.publish_all = publish_all_;
  if ((!config.ports.empty() || publish_all_) && config.network != "default") {
    throw UsageError(
        "conflicting options: port publishing and the network "
        "mode " +
        config.network);
  }
  for (const std::string& word : add_hosts_) {
    config.extra_hosts.push_back(ParseAddHost(word));
  }
  for (const std::string& address : dns_) {
    if (!IsAddress(address)) {
      throw UsageError(address + " is not an ip address");
    }
  }
  config.dns = dns_;
  config.dns_search = dns_search_;
  config.dns_options = dns_options_;
}

void RunOptions::TakeLimits(container::Config& config) const {
  exec::ResourceLimits& limits = config.limits;
  if (!memory_.empty()) limits.memory_bytes = Bytes("--memory", memory_);
  if (!memory_swap_.empty()) {
    limits.memory_swap_bytes =
        memory_swap_ == "-1"
            ? -1
            : static_cast<int64_t>(Bytes("--memory-swap", memory_swap_));
  }
  if (!cpus_.empty()) {
    if (!cpu_period_.empty() || !cpu_quota_.empty()) {
      throw UsageError("Conflicting options: CPU Quota and Nano CPUs");
    }
    limits.cpu_quota_us = container::ParseCpus(cpus_);
  }
  const auto positive = [](const char* flag, const std::string& text) {
    const int64_t number = Number(flag, text);
    if (number <= 0) {
      throw UsageError(fmt::format("{} is a number above 0", flag));
    }
    return static_cast<uint64_t>(number);
  };
  if (!cpu_period_.empty()) {
    limits.cpu_period_us = positive("--cpu-period", cpu_period_);
  }
  if (!cpu_quota_.empty()) {
    limits.cpu_quota_us = positive("--cpu-quota", cpu_quota_);
  }
  if (!pids_limit_.empty()) {
    limits.pids = Number("--pids-limit", pids_limit_);
  }
  if (!shm_size_.empty()) limits.shm_bytes = Bytes("--shm-size", shm_size_);
  for (const std::string& word : ulimits_) {
    limits.ulimits.push_back(container::ParseUlimit(word));
  }
}

void RunOptions::TakeSecurity(container::Config& config) const {
  config.cap_add = cap_add_;
  config.cap_drop = cap_drop_;
  config.privileged = privileged_;
  for (const std::string& option : security_) {
    if (option == "no-new-privileges" || option == "no-new-privileges=true" ||
        option == "no-new-privileges:true") {
      config.no_new_privileges = true;
    } else if (option == "seccomp=unconfined" ||
               option == "seccomp:unconfined") {
      config.seccomp_unconfined = true;
    } else if (option != "no-new-privileges=false" &&
               option != "no-new-privileges:false" &&
               option != "seccomp=builtin" && option != "apparmor=unconfined" &&
               option != "label=disable") {
      throw UsageError("invalid --security-opt: " + Quoted(option),
                       "no-new-privileges, seccomp=unconfined, "
                       "apparmor=unconfined and label=disable are supported");
    }
  }
}

void RunOptions::TakeHealth(container::Config& config) const {
  oci::Healthcheck health;
  const bool any = !health_cmd_.empty() || !health_interval_.empty() ||
                   !health_timeout_.empty() || !health_retries_.empty() ||
                   !health_start_period_.empty() ||
                   !health_start_interval_.empty();
  if (no_healthcheck_) {
    if (any) {
      throw UsageError("--no-healthcheck conflicts with --health-* options");
    }
    health.test = {"NONE"};
    config.health = health;
    return;
  }
  if (!any) return;
  if (!health_cmd_.empty()) health.test = {"CMD-SHELL", health_cmd_};
  const auto duration = [](const std::string& text) {
    return text.empty() ? 0 : container::ParseDuration(text);
  };
  health.interval_ns = duration(health_interval_);
  health.timeout_ns = duration(health_timeout_);
  health.start_period_ns = duration(health_start_period_);
  health.start_interval_ns = duration(health_start_interval_);
  if (!health_retries_.empty()) {
    health.retries = Number("--health-retries", health_retries_);
    if (health.retries < 0) {
      throw UsageError("--health-retries cannot be negative");
    }
  }
  config.health = health;
}

container::Config RunOptions::ToConfig() const {
  container::Config config = Syntax();
  config.restart = container::ParseRestart(restart_);
  if (!stop_signal_.empty()) container::ParseSignal(stop_signal_);
  if (config.limits.memory_swap_bytes != 0 && config.limits.memory_bytes == 0) {
    throw UsageError(
        "You should always set the Memory limit when using Memoryswap limit, "
        "see usage");
  }
  return config;
}

container::Config RunOptions::Syntax() const {
  container::Config config;
  TakeProcess(config);
  TakeMountsAndNetwork(config);
  TakeLimits(config);
  TakeSecurity(config);
  TakeHealth(config);
  return config;
}

store::ImageRecord RunOptions::FindOrPull(App& app) const {
  const std::string& word = words.front();
  const oci::Platform platform = platform_.empty()
                                     ? oci::Platform::Host()
                                     : oci::Platform::Parse(platform_);
  if (lock_.given()) return FindOrPullLocked(app, platform);
  if (pull_ != "always") {
    const auto match = app.store().images().Find(word);
    if (match && (platform_.empty() ||
                  oci::MatchRank(platform, match->image.platform))) {
      return match->image;
    }
    if (pull_ == "never") throw UsageError("No such image: " + word);
  }
  const oci::Reference reference = oci::Reference::Parse(word).WithDefaultTag();
  if (pull_ != "always" && !quiet) {
    fmt::print(stderr, "Unable to find image '{}' locally\n",
               reference.Familiar());
  }
  return Pull(app, reference, platform);
}

store::ImageRecord RunOptions::FindOrPullLocked(
    App& app, const oci::Platform& platform) const {
  // What is fetched from here on cannot be swept away.
  const auto lease = app.store().Hold();
  const oci::Reference name =
      oci::Reference::Parse(words.front()).WithDefaultTag();
  // A digest stands for the same thing whenever it is asked for.
  const plan::ResolvedImage image =
      lock_.Resolve(app, name, platform,
                    pull_ == "never" ? transfer::PullPolicy::kNever
                                     : transfer::PullPolicy::kMissing);
  const oci::Reference reference = name.WithDigest(image.target);
  if (pull_ != "always") {
    const auto record = app.store().images().FindManifest(image.manifest);
    if (record) return *record;
    if (pull_ == "never") {
      throw UsageError("No such image: " + reference.Familiar());
    }
    if (!quiet) {
      fmt::print(stderr, "Unable to find image '{}' locally\n",
                 reference.Familiar());
    }
  }
  return Pull(app, reference, platform);
}

store::ImageRecord RunOptions::Pull(App& app, const oci::Reference& reference,
                                    const oci::Platform& platform) const {
  const transfer::PullResult pulled =
      app.transfer().Pull(reference, platform, transfer::PullPolicy::kAlways);
  if (!quiet) {
    fmt::print(stderr, "Digest: {}\nStatus: {} {}\n",
               pulled.image.target.ToString(),
               pulled.up_to_date ? "Image is up to date for"
                                 : "Downloaded newer image for",
               reference.Familiar());
  }
  auto record = app.store().images().FindManifest(pulled.image.manifest);
  if (!record) {
    throw Error(ErrorCode::kHost, "the image that was pulled is gone again");
  }
  return *record;
}

// A registry may have but one image, of another platform, under that name.
void RunOptions::CheckPlatform(const store::ImageRecord& image) const {
  if (platform_.empty()) {
    const oci::Platform host = oci::Platform::Host();
    if (oci::MatchRank(host, image.platform)) return;
    // Docker's words. The host may have an emulator for it.
    fmt::print(stderr,
               "WARNING: The requested image's platform ({}) does not match "
               "the detected host platform ({}) and no specific platform was "
               "requested\n",
               image.platform.ToString(), host.ToString());
    return;
  }
  const oci::Platform wanted = oci::Platform::Parse(platform_);
  if (oci::MatchRank(wanted, image.platform)) return;
  throw Error(
      ErrorCode::kFailed,
      fmt::format("image with reference {} was found but its platform "
                  "({}) does not match the specified platform ({})",
                  words.front(), image.platform.ToString(), wanted.ToString()));
}

store::ContainerRecord RunOptions::Create(App& app) {
  container::Config config = ToConfig();
  if (!cidfile_.empty() && ::access(cidfile_.c_str(), F_OK) == 0) {
    throw UsageError(fmt::format(
        "container ID file found, make sure the other container isn't running "
        "or delete {}",
        cidfile_));
  }
  container::Containers containers(app.store());
  if (config.network.starts_with("container:")) {
    // The id, because the name may come to mean another one.
    config.network =
        "container:" + containers.Require(config.network.substr(10)).record.id;
  }
  const store::ImageRecord image = FindOrPull(app);
  CheckPlatform(image);
  store::ContainerRecord record =
      containers.Create(image, words.front(), name_, config);
  if (cidfile_.empty()) return record;
  try {
    const UniqueFd file =
        fs::Open(AT_FDCWD, cidfile_, O_WRONLY | O_CREAT | O_EXCL, 0644);
    fs::WriteAll(file.get(), AsBytes(record.id), cidfile_);
  } catch (const Error&) {
    containers.Remove(containers.Require(record.id), /*force=*/false);
    throw;
  }
  return record;
}

}  // namespace imgbuild::cli
