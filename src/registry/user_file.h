// Configuration files of the user's: links are followed (dotfile managers and
// mounted secrets are links), devices and FIFOs are not read.
#ifndef IMGBUILD_SRC_REGISTRY_USER_FILE_H_
#define IMGBUILD_SRC_REGISTRY_USER_FILE_H_

#include <cstddef>
#include <optional>
#include <string>

namespace imgbuild::registry {

// nullopt when there is no such file; Error(kHost) for everything else.
std::optional<std::string> ReadUserFile(const std::string& path, size_t cap);

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_USER_FILE_H_
