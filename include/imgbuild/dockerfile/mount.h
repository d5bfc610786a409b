// RUN --mount after expansion: a typed value with its defaults applied.
#ifndef IMGBUILD_DOCKERFILE_MOUNT_H_
#define IMGBUILD_DOCKERFILE_MOUNT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "imgbuild/dockerfile/ast.h"

namespace imgbuild::dockerfile {

struct MountSpec {
  enum class Type { kBind, kCache, kTmpfs, kSecret, kSsh };
  enum class Sharing { kShared, kPrivate, kLocked };
  Type type = Type::kBind;
  std::string target;  // as written; relative ones join WORKDIR later
  std::string source;
  std::optional<std::string> from;
  bool read_only = false;  // default by type already applied
  std::string id;          // cache, secret, ssh
  Sharing sharing = Sharing::kShared;
  bool required = false;
  std::optional<uint32_t> mode;  // octal value
  std::optional<uint32_t> uid;
  std::optional<uint32_t> gid;
  uint64_t size_bytes = 0;         // tmpfs; 0 is unlimited
  std::optional<std::string> env;  // secret
  SourceRange range;
};

// Validates the combination of options in any order (dockerfile.md, RUN
// --mount). `expand` is applied to every value but `from`'s. Throws
// Error(kDockerfile) at the option's range, with the nearest name.
MountSpec ResolveMount(
    const RawMount& raw,
    const std::function<std::string(const Word& value)>& expand);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_MOUNT_H_
