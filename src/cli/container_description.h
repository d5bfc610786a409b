// A container as `docker inspect` shows it.
#ifndef IMGBUILD_CLI_CONTAINER_DESCRIPTION_H_
#define IMGBUILD_CLI_CONTAINER_DESCRIPTION_H_

#include "imgbuild/container/containers.h"

#include <nlohmann/json.hpp>

#include "cli/go_template.h"

namespace imgbuild::cli {

// Docker's keys, those that have a meaning here. `size` adds SizeRw.
nlohmann::ordered_json DescribeContainer(container::Containers& containers,
                                         const container::Container& container,
                                         bool size);
TemplateShape ContainerShape();

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_CONTAINER_DESCRIPTION_H_
