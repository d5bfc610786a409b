// The layers that a container stands on.
#ifndef IMGBUILD_SRC_CONTAINER_LAYERS_H_
#define IMGBUILD_SRC_CONTAINER_LAYERS_H_

#include "imgbuild/container/run.h"
#include "imgbuild/oci/image_config.h"
#include "imgbuild/store/container_store.h"

namespace imgbuild::container {

// Unpacks those that are not. The image may have no record any more. REQUIRES:
// a lease.
void EnsureLayers(const Engine& engine, const store::ContainerRecord& record,
                  const oci::ImageConfig& image);

}  // namespace imgbuild::container

#endif  // IMGBUILD_SRC_CONTAINER_LAYERS_H_
