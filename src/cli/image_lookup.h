// Finding the image that a word of the command line means.
#ifndef IMGBUILD_CLI_IMAGE_LOOKUP_H_
#define IMGBUILD_CLI_IMAGE_LOOKUP_H_

#include <functional>
#include <string>
#include <vector>

#include "imgbuild/oci/image_config.h"

#include "cli/app.h"

namespace imgbuild::cli {

// nullopt: there is none. Throws Error(kFailed) for a word that means several
// or can be no image's.
std::optional<store::Match> FindImage(App& app, const std::string& word);
// Throws Error(kFailed) "no such image: WORD", with the nearest name.
store::Match RequireImage(App& app, const std::string& word);
// That of `match` for a platform: of its index, else itself. Throws
// Error(kFailed) when the store has none for it.
store::ImageRecord OfPlatform(App& app, const store::Match& match,
                              const std::string& word,
                              const std::string& platform);

struct LoadedImage {
  store::ImageRecord record;
  std::string manifest;  // exact bytes
  std::string config_bytes;
  oci::ImageConfig config;
};
// Throws Error(kHost) when a part of it is gone from the store.
LoadedImage LoadImage(App& app, const store::ImageRecord& record);

// Docker's exit status for an error in one of several words: 1 for what is the
// word's fault.
int WordStatus(const Error& error);
// Does `each` for every word; an error is printed and the others go on.
// Returns the status of the last error, or 0. An interruption is thrown.
int ForEachWord(const std::vector<std::string>& words,
                const std::function<void(const std::string&)>& each);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_LOOKUP_H_
