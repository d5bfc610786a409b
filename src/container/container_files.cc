#include "container/container_files.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "imgbuild/util/error.h"

#include "container/layers.h"

namespace imgbuild::container {
namespace {

// While a container starts or ends it has neither a root to enter nor a free
// lock.
constexpr auto kPoll = std::chrono::milliseconds(10);
constexpr auto kTimeout = std::chrono::seconds(10);

// Where exec may make scratch directories: as the executor has it.
std::string StateDir(const store::Store& store) {
  return store.root() + "/containers";
}

std::unique_ptr<store::Active> PrepareFiles(const Engine& engine,
                                            const Container& container,
                                            const oci::ImageConfig& image) {
  store::Store& store = engine.containers.store();
  const auto lease = store.Hold();
  EnsureLayers(engine, container.record, image);
  return store.snapshots().PrepareIn(
      image.diff_ids, engine.containers.Directory(container.record.id));
}

}  // namespace

ContainerFiles ContainerFiles::Open(const Engine& engine,
                                    const Container& container) {
  Containers& containers = engine.containers;
  const std::string& id = container.record.id;
  ContainerFiles files;
  const auto deadline = std::chrono::steady_clock::now() + kTimeout;
  for (;;) {
    if (const auto record = containers.RunningOf(id)) {
      const auto running = exec::Running::Find(record->started);
      if (running && running->InitPid() != 0) {
        files.running_root_ = running->OpenRoot();
        return files;
      }
    }
    files.lock_ = containers.store().containers().TryLock(id);
    if (files.lock_) break;
    if (std::chrono::steady_clock::now() > deadline) {
      throw Error(ErrorCode::kFailed,
                  fmt::format("container {} is just being started or removed",
                              container.record.name));
    }
    std::this_thread::sleep_for(kPoll);
  }
  const oci::ImageConfig image = containers.ImageConfigOf(container.record);
  files.active_ = PrepareFiles(engine, container, image);
  const exec::ProcessSpec process =
      MakeProcess(image, container.config, *files.active_->lower());
  std::vector<exec::Mount> binds;
  for (const exec::Mount& mount : process.mounts) {
    if (mount.type == exec::Mount::Type::kBind) binds.push_back(mount);
  }
  files.root_ = exec::MountPrivateRoot(files.active_->mount(), binds,
                                       container.config.read_only,
                                       StateDir(containers.store()));
  return files;
}

ContainerFiles ContainerFiles::OpenWritten(const Engine& engine,
                                           const Container& container) {
  Containers& containers = engine.containers;
  ContainerFiles files;
  const oci::ImageConfig image = containers.ImageConfigOf(container.record);
  files.active_ = PrepareFiles(engine, container, image);
  // A second overlay may not write where the first one does.
  store::OverlayMount mount = files.active_->mount();
  mount.lower.insert(mount.lower.begin(), mount.upper);
  mount.upper.clear();
  mount.work.clear();
  files.root_ = exec::MountPrivateRoot(mount, {}, /*read_only=*/true,
                                       StateDir(containers.store()));
  return files;
}

}  // namespace imgbuild::container
