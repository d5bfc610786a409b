// One run of a container, from the inside of whoever holds its lock.
#ifndef IMGBUILD_SRC_CONTAINER_MONITOR_H_
#define IMGBUILD_SRC_CONTAINER_MONITOR_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "imgbuild/container/run.h"
#include "imgbuild/store/container_store.h"

namespace imgbuild::container {

class Monitor {
 public:
  // Takes the lock. Throws Error(kUsage) when somebody else runs it.
  Monitor(const Engine& engine, Container container);
  ~Monitor();

  const Container& container() const { return container_; }
  // Fills in what a start means for the record (times, running file, health
  // checks) around `io`'s own callbacks, runs it to its end and records that.
  // A start that fails is recorded and thrown, or returned as start_error.
  exec::ExitResult Run(exec::ExecIo io, const CancelToken& cancel);
  // After the last run: an auto-removed container goes.
  void Finish();
  // Between two runs of a restart policy.
  void CountRestart();
  bool StopWanted() const;

 private:
  exec::ProcessSpec Prepare();
  void OnStarted(const exec::StartedContainer& started);
  void Record();
  void RecordEnd(const exec::ExitResult& result);
  void ChoosePorts(exec::ProcessSpec& spec);

  const Engine& engine_;
  Container container_;
  oci::ImageConfig image_;
  std::string dir_;
  std::unique_ptr<store::ContainerLock> lock_;
  std::unique_ptr<store::Store::Lease> lease_;
  std::unique_ptr<store::Active> active_;
  UniqueFd joined_network_;
  std::vector<exec::PortForward> ports_;
  // As soon as it is gone nothing of the container's may be used.
  std::unique_ptr<class HealthChecker> health_;
};

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_MONITOR_H_
