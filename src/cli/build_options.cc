#include "cli/build_options.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <thread>

#include "imgbuild/build/remote_context.h"
#include "imgbuild/exec/executor.h"
#include "imgbuild/exec/ulimit.h"
#include "imgbuild/plan/epoch.h"
#include "imgbuild/plan/named_context.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {
namespace {

Error Usage(std::string message) {
  return Error(ErrorCode::kUsage, std::move(message));
}

struct KeyValueWord {
  std::string key;
  std::optional<std::string> value;
};

KeyValueWord SplitKeyValue(const std::string& word) {
  const size_t eq = word.find('=');
  if (eq == std::string::npos) return {word, std::nullopt};
  return {word.substr(0, eq), word.substr(eq + 1)};
}

std::map<std::string, std::string> ParseBuildArgs(
    const std::vector<std::string>& words) {
  std::map<std::string, std::string> out;
  for (const std::string& word : words) {
    const KeyValueWord arg = SplitKeyValue(word);
    if (arg.key.empty()) {
      throw Usage(fmt::format("invalid --build-arg {}", Quoted(word)))
          .WithHint(
              "the form is NAME=VALUE, or NAME to take it from the "
              "environment");
    }
    if (arg.value) {
      out[arg.key] = *arg.value;
    } else if (const char* value = std::getenv(arg.key.c_str())) {
      out[arg.key] = value;
    }
  }
  return out;
}

std::pair<std::string, std::string> ParseHost(const std::string& word) {
  const size_t separator = word.find_first_of(":=");
  if (separator == std::string::npos || separator == 0 ||
      separator + 1 == word.size()) {
    throw Usage(fmt::format("invalid --add-host {}", Quoted(word)))
        .WithHint(
            "the form is NAME:IP, for example db:10.0.0.5 or db:[::1], or "
            "NAME:host-gateway for this host");
  }
  std::string ip = word.substr(separator + 1);
  if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') {
    ip = ip.substr(1, ip.size() - 2);
  }
  in6_addr address{};
  if (ip != exec::kHostGateway &&
      ::inet_pton(AF_INET, ip.c_str(), &address) != 1 &&
      ::inet_pton(AF_INET6, ip.c_str(), &address) != 1) {
    throw Usage(fmt::format("invalid --add-host {}: {} is no address",
                            Quoted(word), Quoted(ip)))
        .WithHint("the form is NAME:IP, for example db:10.0.0.5 or db:[::1]");
  }
  return {word.substr(0, separator), ip};
}

std::optional<int64_t> ParseEpoch(const BuildFlags& flags) {
  std::string text = flags.source_date_epoch;
  std::string origin = "--source-date-epoch";
  if (text.empty()) {
    const auto args = ParseBuildArgs(flags.build_args);
    const auto it = args.find("SOURCE_DATE_EPOCH");
    const char* env = std::getenv("SOURCE_DATE_EPOCH");
    origin = "SOURCE_DATE_EPOCH";
    if (it != args.end()) {
      text = it->second;
    } else if (env != nullptr) {
      text = env;
    }
  }
  if (text.empty()) return std::nullopt;
  const auto epoch = plan::ParseEpoch(text);
  if (!epoch) {
    throw Usage(fmt::format("invalid {} {}", origin, Quoted(text)))
        .WithHint("it is a number of seconds since 1970-01-01");
  }
  return epoch;
}

// From the root of each hierarchy, whatever is written.
std::string ParseCgroupParent(const std::string& text) {
  if (text.empty()) return "";
  std::string path;
  for (const std::string& name : Split(text, '/')) {
    if (name == "..") {
      throw Usage(fmt::format("invalid --cgroup-parent {}", Quoted(text)))
          .WithHint("it is a path from the root of the cgroups, without ..");
    }
    if (!name.empty() && name != ".") path += "/" + name;
  }
  if (path.empty()) {
    throw Usage(fmt::format("invalid --cgroup-parent {}", Quoted(text)))
        .WithHint("it is a path below the root of the cgroups");
  }
  return path;
}

// "network.host", "device", "device=NAME[,alias=OTHER]".
void Allow(const std::string& word, plan::PlanOptions& options) {
  if (word == "network.host" || word == "security.insecure" ||
      word == "device") {
    options.entitlements.insert(word);
    return;
  }
  if (!word.starts_with("device=")) {
    throw Usage(fmt::format("unknown entitlement {}", Quoted(word)))
        .WithHint(
            "--allow takes network.host, security.insecure, device or "
            "device=NAME[,alias=OTHER]");
  }
  const std::vector<std::string> fields = Split(word.substr(7), ',');
  std::string alias;
  for (size_t i = 1; i < fields.size(); ++i) {
    if (!fields[i].starts_with("alias=") || fields[i].size() == 6) {
      throw Usage(fmt::format("invalid --allow {}: unknown {}", Quoted(word),
                              Quoted(fields[i])))
          .WithHint("the form is device=NAME[,alias=OTHER]");
    }
    alias = fields[i].substr(6);
  }
  if (fields[0].empty()) {
    throw Usage(fmt::format("invalid --allow {}: no device", Quoted(word)))
        .WithHint("the form is device=NAME[,alias=OTHER]");
  }
  if (alias.empty()) {
    options.granted_devices[fields[0]] = "";
  } else {
    options.granted_devices[alias] = fields[0];
  }
}

// Told before anything is done, also where the Dockerfile may not need it.
void CheckNamedContext(const std::string& name, const std::string& value) {
  if (plan::SplitContextName(name).name.empty()) {
    throw Usage("no name stands before ::");
  }
  const plan::NamedContext context = plan::ParseNamedContext(value);
  if (context.kind != plan::NamedContext::Kind::kFiles) return;
  struct ::stat st = {};
  if (::stat(value.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) return;
  if (build::IsRemoteContext(value)) return;
  throw Usage(fmt::format("{} is not a directory", Quoted(value)))
      .WithHint(
          "a named context is a directory, docker-image://REF, "
          "oci-layout://PATH[:TAG|@DIGEST], an http(s) or git URL, or "
          "target:STAGE");
}

}  // namespace

void AddPlanFlags(Args& args, BuildFlags& f) {
  args.Value("-f,--file", &f.file, "FILE",
             "the Dockerfile: a path, a URL or - for standard input "
             "(default: PATH/Dockerfile)");
  args.List("--build-arg", &f.build_args, "NAME[=VALUE]",
            "value of an ARG; without a value it comes from the environment");
  args.List("--build-context", &f.build_contexts, "NAME[::PLATFORM]=VALUE",
            "a further context, or what stands for a stage or an image: a "
            "directory, docker-image://REF, oci-layout://PATH[:TAG|@DIGEST], "
            "an http(s) or git URL, target:STAGE");
  args.Value("--target", &f.target, "STAGE", "stop at this stage");
  args.Value("--platform", &f.platform, "OS/ARCH[/VARIANT]",
             "what the image is for");
  args.Flag("--no-cache", &f.no_cache, "run every step again");
  args.List("--no-cache-filter", &f.no_cache_filter, "STAGE",
            "run the steps of this stage again");
  args.Flag("--pull", &f.pull, "ask the registry what a tag stands for now");
  args.List("--label", &f.labels, "K=V", "a label of the image");
  args.List("--allow", &f.allow, "ENTITLEMENT",
            "network.host, security.insecure, device or "
            "device=NAME[,alias=OTHER]");
  args.Value("--network", &f.network, "MODE",
             "network of RUN: default, none or host");
  args.List("--add-host", &f.add_hosts, "NAME:IP",
            "a line of /etc/hosts; host-gateway is this host");
  args.Value("--cgroup-parent", &f.cgroup_parent, "CGROUP",
             "the cgroup that those of RUN are made in");
  args.Value("--shm-size", &f.shm_size, "BYTES", "size of /dev/shm in RUN");
  args.List("--ulimit", &f.ulimits, "NAME=SOFT[:HARD]", "a limit of RUN");
  args.Value("--source-date-epoch", &f.source_date_epoch, "SECONDS",
             "latest time of files and config (default: the base image's)");
  args.Value(
      "--source-policy", &f.source_policy, "FILE",
      "BuildKit's source policy (JSON): allows, denies and converts what "
      "is fetched (default: $EXPERIMENTAL_BUILDKIT_SOURCE_POLICY)");
  args.Flag("--locked", &f.locked,
            "fail unless the lock has every name (default when CI=true)");
  args.Flag("--no-locked", &f.no_locked, "do without the lock");
  args.Flag("--frozen", &f.frozen, "--locked, and fetch nothing");
  args.Value("--lockfile", &f.lockfile, "FILE",
             "the lock (default: the Dockerfile's name and .lock)");
  args.Positional("PATH", &f.context, true,
                  "the build context: a directory, a git URL (#REF:DIR), an "
                  "http(s) URL of a tar or a Dockerfile, or - for either on "
                  "standard input");
}

void AddBuildFlags(Args& args, BuildFlags& f) {
  args.Value("--lock-bundle", &f.lock_bundle, "FILE",
             "take what is locked from here (`imgbuild lock bundle`), and "
             "fetch nothing");
  args.List("-t,--tag", &f.tags, "NAME[:TAG]", "name of the image");
  args.Value("--progress", &f.progress, "KIND",
             "auto, plain, tty, quiet or rawjson");
  args.Value("--store-max", &f.store_max, "SIZE",
             "what the store may take on the disk, before and after; what was "
             "used longest ago goes first");
  args.List("--keep-locked", &f.keep_locked, "FILE",
            "with --store-max: never remove what that Dockerfile.lock names");
  args.Value("--iidfile", &f.iidfile, "FILE", "write the image id here");
  args.Value("--metadata-file", &f.metadata_file, "FILE",
             "write what was made here, as JSON");
  args.List("-o,--output", &f.outputs, "SPEC",
            "type=image|oci|docker|tar|local,dest=…; DIR; - for a tar");
  args.Flag("-q,--quiet", &f.quiet, "print the image id only");
  args.Flag("--record-output", &f.record_output,
            "write the digest that is made into the lock: later builds are "
            "compared with it");
  args.HiddenFlag("--slow-path", &f.slow_path);
  args.List("--secret", &f.secrets, "SPEC", "id=ID[,src=FILE|,env=VARIABLE]");
  args.List("--ssh", &f.ssh, "SPEC",
            "default|ID[=SOCKET|KEY[,KEY…]]: an agent for --mount=type=ssh");
  args.List("--annotation", &f.annotations, "[TYPE:]K=V",
            "an annotation of the image's manifest; or, as TYPE "
            "manifest-descriptor, of what points to it in an archive");
  args.Value("-m,--memory", &f.memory, "BYTES", "memory of each RUN");
  args.Value("--memory-swap", &f.memory_swap, "BYTES",
             "memory and swap together; -1: swap without a limit");
  args.Value("--cpu-period", &f.cpu_period, "MICROSECONDS",
             "period of the CPU quota");
  args.Value("--cpu-quota", &f.cpu_quota, "MICROSECONDS",
             "CPU time of each RUN within a period");
  args.Value("-c,--cpu-shares", &f.cpu_shares, "N",
             "weight of each RUN for the CPUs; 1024 is the usual one");
  args.Value("--cpuset-cpus", &f.cpuset_cpus, "LIST",
             "the CPUs of each RUN: 0-2,4");
  args.Value("--cpuset-mems", &f.cpuset_mems, "LIST",
             "the memory nodes of each RUN");
  args.List("--resource", &f.resources, "KEY=VALUE",
            "memory, memory-swap, cpu-shares, cpu-period, cpu-quota, "
            "cpuset-cpus, cpuset-mems: as the flags");
  args.Value("-j,--jobs", &f.jobs, "N", "steps that run at once");
  args.Flag("--check", &f.check, "check the Dockerfile, build nothing");
  args.Value("--call,--print", &f.call, "METHOD[,format=FORMAT]",
             "build, check, outline, targets or subrequests.describe, as text "
             "or json (default: build)");
}

plan::PlanOptions ToPlanOptions(const BuildFlags& flags) {
  plan::PlanOptions options;
  options.build_args = ParseBuildArgs(flags.build_args);
  options.target = flags.target;
  options.build_platform = oci::Platform::Host();
  options.target_platform = options.build_platform;
  std::string platform = flags.platform;
  if (platform.empty()) {
    const char* env = std::getenv("DOCKER_DEFAULT_PLATFORM");
    if (env != nullptr) platform = env;
  }
  if (platform.find(',') != std::string::npos) {
    throw Usage("--platform takes one platform a build")
        .WithHint("build each platform by itself");
  }
  if (!platform.empty() && platform != "local") {
    options.target_platform = oci::Platform::Parse(platform);
    options.target_platform_given = true;
  }
  options.source_date_epoch = ParseEpoch(flags);
  for (const std::string& word : flags.build_contexts) {
    const KeyValueWord pair = SplitKeyValue(word);
    if (!pair.value || pair.key.empty() || pair.value->empty()) {
      throw Usage(fmt::format("invalid --build-context {}", Quoted(word)))
          .WithHint("the form is NAME=VALUE");
    }
    try {
      CheckNamedContext(pair.key, *pair.value);
    } catch (Error& error) {
      throw error.While("while reading --build-context " + pair.key);
    }
    options.named_contexts[pair.key] = *pair.value;
  }
  for (const std::string& word : flags.labels) {
    const KeyValueWord pair = SplitKeyValue(word);
    if (pair.key.empty()) {
      throw Usage(fmt::format("invalid --label {}", Quoted(word)));
    }
    options.labels[pair.key] = pair.value.value_or("");
  }
  if (flags.network != "default" && flags.network != "none" &&
      flags.network != "host") {
    throw Usage(fmt::format("invalid --network {}", Quoted(flags.network)))
        .WithHint("it is default, none or host");
  }
  options.network = flags.network;
  for (const std::string& word : flags.add_hosts) {
    options.extra_hosts.push_back(ParseHost(word));
  }
  if (!flags.shm_size.empty()) {
    const auto bytes = ParseByteSize(flags.shm_size);
    if (!bytes || *bytes == 0) {
      throw Usage(fmt::format("invalid --shm-size {}", Quoted(flags.shm_size)));
    }
    options.shm_bytes = *bytes;
  }
  options.cgroup_parent = ParseCgroupParent(flags.cgroup_parent);
  for (const std::string& word : flags.ulimits) exec::ParseUlimit(word);
  options.ulimits = flags.ulimits;
  for (const std::string& word : flags.allow) Allow(word, options);
  if (flags.no_cache && !flags.no_cache_filter.empty()) {
    throw Usage("--no-cache and --no-cache-filter exclude one another");
  }
  options.no_cache = flags.no_cache;
  for (const std::string& word : flags.no_cache_filter) {
    for (const std::string& stage : Split(word, ',')) {
      options.no_cache_stages.insert(ToLower(stage));
    }
  }
  return options;
}

std::vector<oci::Reference> ParseTags(const BuildFlags& flags) {
  std::vector<oci::Reference> tags;
  for (const std::string& word : flags.tags) {
    const oci::Reference tag = oci::Reference::Parse(word);
    if (tag.digest()) {
      throw Usage("refusing to create a tag with a digest reference: " + word)
          .WithHint("a digest is what the build gives, not what it is given");
    }
    tags.push_back(tag.WithDefaultTag());
  }
  return tags;
}

std::map<std::string, build::Secret> ParseSecrets(const BuildFlags& flags) {
  std::map<std::string, build::Secret> secrets;
  for (const std::string& word : flags.secrets) {
    std::string id;
    std::string type;
    build::Secret secret;
    for (const std::string& field : Split(word, ',')) {
      const KeyValueWord pair = SplitKeyValue(field);
      const std::string key = ToLower(pair.key);
      const std::string value = pair.value.value_or("");
      if (key == "id") {
        id = value;
      } else if (key == "type" && (value == "file" || value == "env")) {
        type = value;
      } else if (key == "src" || key == "source") {
        secret.file = value;
      } else if (key == "env") {
        secret.env = value;
      } else {
        throw Usage(fmt::format("invalid --secret: unknown {}", Quoted(field)))
            .WithHint("the form is id=ID[,src=FILE|,env=VARIABLE]");
      }
    }
    if (id.empty()) throw Usage("--secret needs an id=…");
    if (type == "env" && secret.env.empty()) {
      secret.env = secret.file.empty() ? id : secret.file;
      secret.file.clear();
    }
    if (secret.file.empty() && secret.env.empty()) {
      // Bare id: the variable of that name, else the file.
      if (type != "file" && std::getenv(id.c_str()) != nullptr) {
        secret.env = id;
      } else {
        secret.file = id;
      }
    }
    // Known now, so that the build does not fail in its last step.
    struct ::stat st = {};
    if (secret.env.empty() && ::stat(secret.file.c_str(), &st) != 0) {
      throw ErrnoError("open", secret.file, errno, ErrorCode::kUsage)
          .While(fmt::format("while reading --secret id={}", id));
    }
    secrets[id] = secret;
  }
  return secrets;
}

unsigned ParseJobs(const BuildFlags& flags) {
  if (flags.jobs.empty()) {
    // Steps wait for disks and networks more than they compute.
    return std::max(8u, 4 * std::thread::hardware_concurrency());
  }
  const auto jobs = ParseUint(flags.jobs);
  if (!jobs || *jobs < 1 || *jobs > 1024) {
    throw Usage(fmt::format("invalid --jobs {}", Quoted(flags.jobs)))
        .WithHint("it is a number from 1 to 1024");
  }
  return static_cast<unsigned>(*jobs);
}

}  // namespace imgbuild::cli
