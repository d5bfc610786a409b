// An image as `docker inspect` shows it.
#ifndef IMGBUILD_CLI_IMAGE_DESCRIPTION_H_
#define IMGBUILD_CLI_IMAGE_DESCRIPTION_H_

#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/go_template.h"
#include "cli/image_lookup.h"

namespace imgbuild::cli {

// Docker's keys in Docker's order, and Descriptor: the manifest.
nlohmann::ordered_json DescribeImage(App& app, const LoadedImage& image);
// What templates over it may ask for.
TemplateShape ImageShape();

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_DESCRIPTION_H_
