#include "container/health.h"

#include <chrono>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "container/inside.h"

namespace imgbuild::container {
namespace {

constexpr int64_t kDefaultNs = 30'000'000'000;
constexpr int64_t kDefaultStartNs = 5'000'000'000;
constexpr int64_t kDefaultRetries = 3;
constexpr size_t kKeptProbes = 5;
constexpr size_t kMaxOutput = 4096;  // Docker keeps as much
// What Docker says when a probe takes too long.
constexpr int kTimedOut = -1;

int64_t Or(int64_t value, int64_t standard) {
  return value > 0 ? value : standard;
}

}  // namespace

Health NextHealth(Health health, Health::Probe probe, int64_t retries,
                  bool in_start) {
  if (probe.exit_code == 0) {
    health.failing = 0;
    health.status = "healthy";
  } else if (!in_start || health.status == "healthy") {
    ++health.failing;
    if (health.failing >= retries) health.status = "unhealthy";
  }
  health.log.push_back(std::move(probe));
  if (health.log.size() > kKeptProbes) health.log.erase(health.log.begin());
  return health;
}

HealthChecker::HealthChecker(Containers& containers, Container container,
                             oci::Healthcheck check)
    : containers_(containers),
      container_(std::move(container)),
      check_(std::move(check)),
      dir_(containers.Directory(container_.record.id)) {
  Health first;
  first.status = "starting";
  ReplaceFile(dir_, kHealthFile, ToJson(first));
  thread_ = std::thread([this] { Run(); });
}

HealthChecker::~HealthChecker() {
  stop_.Cancel();
  thread_.join();
}

void HealthChecker::Run() {
  Health health;
  health.status = "starting";
  const int64_t begin = NowNs();
  for (;;) {
    const bool in_start = NowNs() - begin < check_.start_period_ns;
    const int64_t pause =
        in_start && health.status == "starting"
            ? std::min(Or(check_.start_interval_ns, kDefaultStartNs),
                       Or(check_.interval_ns, kDefaultNs))
            : Or(check_.interval_ns, kDefaultNs);
    if (!SystemClock().Sleep(
            std::chrono::duration_cast<std::chrono::milliseconds>(
                std::chrono::nanoseconds(pause)),
            stop_.fd())) {
      return;
    }
    try {
      Health::Probe probe = ProbeOnce();
      if (stop_.cancelled()) return;
      health = NextHealth(std::move(health), std::move(probe),
                          Or(check_.retries, kDefaultRetries),
                          NowNs() - begin < check_.start_period_ns);
      ReplaceFile(dir_, kHealthFile, ToJson(health));
    } catch (const Error&) {
      // The container is just ending.
      if (stop_.cancelled()) return;
    }
  }
}

Health::Probe HealthChecker::ProbeOnce() {
  ExecOptions options;
  if (check_.test.front() == "CMD-SHELL") {
    options.command = {"/bin/sh", "-c",
                       check_.test.size() > 1 ? check_.test[1] : ""};
  } else {
    options.command.assign(check_.test.begin() + 1, check_.test.end());
  }
  Health::Probe probe;
  probe.start = FormatNs(NowNs());
  const CapturedExec done =
      ExecCaptured(containers_, container_, options,
                   Or(check_.timeout_ns, kDefaultNs), kMaxOutput, stop_);
  probe.end = FormatNs(NowNs());
  probe.exit_code = done.timed_out ? kTimedOut : done.exit_code;
  probe.output = done.timed_out ? "Health check exceeded timeout" : done.output;
  return probe;
}

}  // namespace imgbuild::container
