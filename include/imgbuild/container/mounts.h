// The files of an image or a container, mounted read-only where any program of
// this host can look at them (`mount`, `umount`). Nothing of the image may be
// removed meanwhile; a start of the machine ends all mounts.
#ifndef IMGBUILD_CONTAINER_MOUNTS_H_
#define IMGBUILD_CONTAINER_MOUNTS_H_

#include <optional>
#include <string>
#include <vector>

#include "imgbuild/container/run.h"
#include "imgbuild/store/image_store.h"

namespace imgbuild::container {

struct Mounted {
  store::MountRecord record;
  std::string path;
};

// Where it is mounted; mounting twice is once. What a running container
// changes after it was mounted may show or not.
std::string MountImage(const Engine& engine, const store::ImageRecord& image,
                       const std::string& reference);
std::string MountContainer(const Engine& engine, const Container& container);

// By the container's id or the image. nullopt: it is not mounted here.
std::optional<Mounted> FindMounted(store::Store& store, const std::string& id);
std::optional<Mounted> FindMounted(store::Store& store,
                                   const store::ImageRecord& image);
std::vector<Mounted> ListMounted(store::Store& store);

// False: it is not mounted. Throws Error(kFailed) while somebody has a file
// open there, unless `force`.
bool Unmount(store::Store& store, const std::string& id, bool force);
std::string MountId(const store::ImageRecord& image);

}  // namespace imgbuild::container

#endif  // IMGBUILD_CONTAINER_MOUNTS_H_
