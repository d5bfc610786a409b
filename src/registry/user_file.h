// Configuration files of the user's: links are followed (dotfile managers and
// mounted secrets are links), devices and FIFOs are not read.
#ifndef IMGBUILD_SRC_REGISTRY_USER_FILE_H_
#define IMGBUILD_SRC_REGISTRY_USER_FILE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace imgbuild::registry {

// nullopt when there is no such file; Error(kHost) for everything else.
std::optional<std::string> ReadUserFile(const std::string& path, size_t cap);

// "FILE:LINE" of the first `needle` in the file's text (behind the first
// `after`, if that is there); the file alone when it is nowhere, because an
// escape may have hidden it.
std::string PlaceOf(const std::string& file, std::string_view text,
                    std::string_view needle, std::string_view after = {});

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_USER_FILE_H_
