// The flags that `run` and `create` share, and finding the image.
#ifndef IMGBUILD_CLI_RUN_OPTIONS_H_
#define IMGBUILD_CLI_RUN_OPTIONS_H_

#include <string>
#include <vector>

#include "imgbuild/container/config.h"
#include "imgbuild/container/run.h"

#include "cli/app.h"
#include "cli/args.h"
#include "cli/image_lock.h"

namespace imgbuild::cli {

// As Docker has it for `run`, `create` and `start -a`: the engine failed.
inline constexpr int kRunFailed = 125;

class RunOptions {
 public:
  // Targets of the flags: this object must outlive Parse().
  void AddTo(Args& args);
  // Throws Error(kUsage) for a value that means nothing.
  container::Config ToConfig() const;
  // Only for values that are no such value at all: what Docker's client finds
  // before it asks anybody, and ends with kRunFailed.
  void CheckSyntax() const { Syntax(); }
  // Finds the image, or pulls it as --pull says, makes the container and
  // writes --cidfile. words[0] is the image. Throws Error.
  store::ContainerRecord Create(App& app);

  const std::string& name() const { return name_; }

  std::vector<std::string> words;  // IMAGE [COMMAND…]
  bool remove = false;             // --rm
  bool quiet = false;

 private:
  container::Config Syntax() const;
  void AddProcessFlags(Args& args);
  void AddMountAndNetworkFlags(Args& args);
  void AddLimitFlags(Args& args);
  void AddHealthFlags(Args& args);
  void TakeProcess(container::Config& config) const;
  void TakeMountsAndNetwork(container::Config& config) const;
  void TakeLimits(container::Config& config) const;
  void TakeSecurity(container::Config& config) const;
  void TakeHealth(container::Config& config) const;
  void CheckPlatform(const store::ImageRecord& image) const;
  store::ImageRecord FindOrPull(App& app) const;
  store::ImageRecord FindOrPullLocked(App& app,
                                      const oci::Platform& platform) const;
  store::ImageRecord Pull(App& app, const oci::Reference& reference,
                          const oci::Platform& platform) const;

  ImageLock lock_;
  bool interactive_ = false, terminal_ = false, read_only_ = false;
  bool init_ = false, privileged_ = false, publish_all_ = false;
  bool no_healthcheck_ = false;
  std::vector<std::string> env_, env_files_, labels_, label_files_;
  std::vector<std::string> volumes_, mounts_, tmpfs_, ports_, add_hosts_;
  std::vector<std::string> dns_, dns_search_, dns_options_, groups_;
  std::vector<std::string> cap_add_, cap_drop_, security_, ulimits_;
  std::string name_, working_dir_, user_, hostname_, platform_, cidfile_;
  std::string entrypoint_ = "\x01";  // not given
  std::string network_ = "default", pull_ = "missing", restart_ = "no";
  std::string stop_signal_, stop_timeout_, memory_, memory_swap_, cpus_;
  std::string cpu_period_, cpu_quota_, pids_limit_, shm_size_;
  std::string health_cmd_, health_interval_, health_timeout_, health_retries_;
  std::string health_start_period_, health_start_interval_;
};

// K=V lines; K alone takes the caller's value; # begins a comment. Throws
// Error.
std::vector<std::string> ReadEnvFile(const std::string& path);
// "K=V" as it is, "K" with the caller's value (left out when unset).
std::vector<std::string> ResolveEnv(const std::vector<std::string>& words);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_RUN_OPTIONS_H_
