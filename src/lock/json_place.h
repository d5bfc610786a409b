// Places in JSON text: the parser gives values and no positions, and an error
// in somebody's policy must name its line.
#ifndef IMGBUILD_SRC_LOCK_JSON_PLACE_H_
#define IMGBUILD_SRC_LOCK_JSON_PLACE_H_

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/source.h"

#include <nlohmann/json.hpp>

namespace imgbuild::lock {

// The whole text as JSON. Throws Error(kDockerfile) at the byte that is wrong;
// `what` names the file's kind: "source policy".
nlohmann::json ParseJson(const std::shared_ptr<const SourceFile>& source,
                         size_t cap, std::string_view what);

// One step down: a member's name, or an index as decimal text.
using JsonPath = std::vector<std::string>;

// The value at `path`; the whole text's first byte when there is none. With
// `key`, the name of that member instead. REQUIRES: ParseJson() took the text.
SourceRange PlaceOf(const std::shared_ptr<const SourceFile>& source,
                    const JsonPath& path, bool key = false);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_SRC_LOCK_JSON_PLACE_H_
