// The value of a --secret, read when it is needed.
#ifndef IMGBUILD_SRC_BUILD_SECRET_H_
#define IMGBUILD_SRC_BUILD_SECRET_H_

#include <map>
#include <optional>
#include <string>

#include "imgbuild/build/builder.h"

namespace imgbuild::build {

// nullopt when there is no secret `id`, or its file or variable is gone.
// Throws Error(kHost) above 500 KiB.
std::optional<std::string> ReadSecret(
    const std::map<std::string, Secret>& secrets, const std::string& id);

}  // namespace imgbuild::build

#endif  // IMGBUILD_SRC_BUILD_SECRET_H_
