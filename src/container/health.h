// The health check of a running container, in a thread of its monitor.
#ifndef IMGBUILD_SRC_CONTAINER_HEALTH_H_
#define IMGBUILD_SRC_CONTAINER_HEALTH_H_

#include <string>
#include <thread>

#include "imgbuild/container/run.h"
#include "imgbuild/oci/image_config.h"

#include "container/files.h"

namespace imgbuild::container {

class HealthChecker {
 public:
  // Checks from now on, until destroyed. What it sees is in kHealthFile.
  HealthChecker(Containers& containers, Container container,
                oci::Healthcheck check);
  ~HealthChecker();

 private:
  void Run();
  Health::Probe ProbeOnce();

  Containers& containers_;
  const Container container_;
  const oci::Healthcheck check_;
  const std::string dir_;
  CancelToken stop_;
  std::thread thread_;
};

// What a further probe makes of the health: `in_start` is the time in which
// failures do not count. Pure.
Health NextHealth(Health health, Health::Probe probe, int64_t retries,
                  bool in_start);

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_HEALTH_H_
