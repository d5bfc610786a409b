// The text of a --mount flag.
#ifndef IMGBUILD_DOCKERFILE_RAW_MOUNT_H_
#define IMGBUILD_DOCKERFILE_RAW_MOUNT_H_

#include "imgbuild/dockerfile/ast.h"

#include "dockerfile/flags.h"
#include "dockerfile/line_reader.h"

namespace imgbuild::dockerfile {

// Splits as one CSV record and checks the keys. Throws Error(kDockerfile).
RawMount ParseRawMount(const LogicalLine& line, Span span,
                       const Unquoted& value);

// Finds at once what ResolveMount() would find later, when no value has a
// variable.
void CheckMount(const RawMount& mount, char escape);

}  // namespace imgbuild::dockerfile

#endif  // IMGBUILD_DOCKERFILE_RAW_MOUNT_H_
