// Finding the image that a word of the command line means.
#ifndef IMGBUILD_CLI_IMAGE_LOOKUP_H_
#define IMGBUILD_CLI_IMAGE_LOOKUP_H_

#include <string>

#include "imgbuild/oci/image_config.h"

#include "cli/app.h"

namespace imgbuild::cli {

// Throws Error(kUsage) "no such image: WORD", with the nearest name.
store::Match RequireImage(App& app, const std::string& word);

struct LoadedImage {
  store::ImageRecord record;
  std::string manifest;  // exact bytes
  std::string config_bytes;
  oci::ImageConfig config;
};
// Throws Error(kHost) when a part of it is gone from the store.
LoadedImage LoadImage(App& app, const store::ImageRecord& record);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_LOOKUP_H_
