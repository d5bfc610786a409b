// Places in Dockerfiles as BuildKit's JSON has them.
#ifndef IMGBUILD_CLI_SOURCE_JSON_H_
#define IMGBUILD_CLI_SOURCE_JSON_H_

#include <memory>
#include <string>
#include <vector>

#include "imgbuild/util/source.h"

#include <nlohmann/json.hpp>

namespace imgbuild::cli {

// The files that locations point into, in the order of their numbers.
using Sources = std::vector<std::shared_ptr<const SourceFile>>;

// One range a line. A file that `sources` lacks is added to them.
nlohmann::ordered_json LocationOf(const SourceRange& range, Sources& sources);

// Indented by two, a line end behind; what is not UTF-8 is replaced.
std::string DumpJson(const nlohmann::ordered_json& document);
// The same, with the escapes of Go's encoder (<, > and &).
std::string DumpGoJson(const nlohmann::ordered_json& document);

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_SOURCE_JSON_H_
