// How a container is made: what the flags of `create` and `run` say. Kept as
// JSON with the container, so that `start` runs the same again.
#ifndef IMGBUILD_CONTAINER_CONFIG_H_
#define IMGBUILD_CONTAINER_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "imgbuild/exec/executor.h"
#include "imgbuild/oci/image_config.h"

namespace imgbuild::container {

// -v, --mount, --tmpfs.
struct Volume {
  enum class Type { kBind, kTmpfs };
  std::string source;  // absolute host path; empty for a tmpfs
  std::string target;  // absolute
  bool read_only = false;
  Type type = Type::kBind;
  uint64_t tmpfs_size = 0;  // 0: no limit
  uint32_t tmpfs_mode = 01777;
};
// HOST:CONTAINER[:ro|rw]. All of these throw Error(kUsage).
Volume ParseVolume(const std::string& text);
// type=bind,source=…,target=…[,readonly] of --mount; type=tmpfs too.
Volume ParseMount(const std::string& text);
// PATH[:size=…,mode=…,ro] of --tmpfs.
Volume ParseTmpfs(const std::string& text);

// -p: [[IP:][HOST]:]CONTAINER[/tcp|udp]; either side may be a range A-B. Host
// port 0: any free one.
std::vector<exec::PortForward> ParsePorts(const std::string& text);

// NAME=SOFT[:HARD]; -1 is no limit.
exec::ResourceLimits::Ulimit ParseUlimit(const std::string& text);

// "TERM", "SIGTERM", "15" -> 15. Error(kUsage) "invalid signal: X".
int ParseSignal(const std::string& text);
std::string SignalName(int number);  // "SIGTERM"

// "1h30m", "500ms": nanoseconds, Go's syntax.
int64_t ParseDuration(const std::string& text);

// "1.5" CPUs -> microseconds of 100,000.
uint64_t ParseCpus(const std::string& text);

struct RestartPolicy {
  enum class When { kNo, kOnFailure, kAlways, kUnlessStopped };
  When when = When::kNo;
  int max_retries = 0;  // kOnFailure; 0: no end
};
RestartPolicy ParseRestart(const std::string& text);
std::string ToString(const RestartPolicy& policy);

struct Config {
  std::vector<std::string> command;       // after IMAGE; empty: the image's CMD
  std::optional<std::string> entrypoint;  // "" resets the image's
  std::vector<std::string> env;           // K=V, later wins
  std::vector<std::pair<std::string, std::string>> labels;
  std::vector<Volume> volumes;
  std::string working_dir;
  std::string user;
  std::vector<std::string> groups;  // --group-add, numbers or names
  std::string hostname;             // empty: the first half of the id
  // default, none, host, container:ID
  std::string network = "default";
  std::vector<exec::PortForward> ports;
  bool publish_all = false;
  std::vector<std::pair<std::string, std::string>> extra_hosts;
  std::vector<std::string> dns;
  std::vector<std::string> dns_search;
  std::vector<std::string> dns_options;
  bool terminal = false;
  bool interactive = false;
  bool read_only = false;
  bool init = false;
  bool privileged = false;
  bool no_new_privileges = false;
  bool seccomp_unconfined = false;
  std::vector<std::string> cap_add;
  std::vector<std::string> cap_drop;
  exec::ResourceLimits limits;
  std::string stop_signal;  // empty: the image's, else SIGTERM
  int stop_timeout_s = 10;
  std::optional<oci::Healthcheck> health;  // {"NONE"}: the image's is off
  RestartPolicy restart;
  bool auto_remove = false;
};

std::string ToJson(const Config& config);
// Throws Error(kHost) on text that ToJson() did not write.
Config ConfigFromJson(std::string_view text);

// What a container of this image and these options runs. Pure but for the
// look-up of the user in `root`. Throws Error(kUsage) "no command specified".
exec::ProcessSpec MakeProcess(const oci::ImageConfig& image,
                              const Config& config, const FileTree& root);

// The flags' values where they speak, else the image's.
std::vector<std::string> CommandOf(const oci::ImageConfig& image,
                                   const Config& config);
std::optional<oci::Healthcheck> HealthcheckOf(const oci::ImageConfig& image,
                                              const Config& config);
int StopSignalOf(const oci::ImageConfig& image, const Config& config);
// The image's labels and then the container's.
std::vector<std::pair<std::string, std::string>> LabelsOf(
    const oci::ImageConfig& image, const Config& config);

}  // namespace imgbuild::container

#endif  // IMGBUILD_CONTAINER_CONFIG_H_
