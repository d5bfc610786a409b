// The part of YAML that descriptions of devices are written in: block and
// one-line flow mappings and sequences, plain and quoted scalars, comments.
// Anchors, tags, block scalars and further documents are refused.
#ifndef IMGBUILD_SRC_EXEC_YAML_READER_H_
#define IMGBUILD_SRC_EXEC_YAML_READER_H_

#include <string_view>

#include <nlohmann/json.hpp>

namespace imgbuild::exec {

// Plain scalars become null, booleans and integers (0x, 0o and 0-led octal
// ones too), everything else text. Throws Error(kHost): "line 3: why". Nesting
// is bounded; the caller bounds the size.
nlohmann::json ParseYaml(std::string_view text);

}  // namespace imgbuild::exec

#endif  // IMGBUILD_SRC_EXEC_YAML_READER_H_
