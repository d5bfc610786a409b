// Any bytes as a template over an image. Each line of the input is one more.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

#include "cli/go_template.h"

namespace imgbuild::cli {
namespace {

void RunAny(const std::string& text) {
  static const auto data = nlohmann::ordered_json::parse(R"({
      "Id": "sha256:8f3f", "RepoTags": ["a:1", "b:2"], "Size": 1984304,
      "Parent": "", "Config": {"Cmd": ["sh", "-c"], "Entrypoint": null,
      "Labels": {"a": "1", "b": "\u00e9"}, "Volumes": {"/data": {}}},
      "Os": "linux", "RootFS": {"Layers": ["x", "y"]}})");
  TemplateShape shape;
  shape.maps = {"Labels", "Volumes"};
  shape.lists = {"Cmd", "Entrypoint"};
  try {
    GoTemplate::Parse(text).Execute(data, shape);
  } catch (const Error& error) {
    const bool known =
        error.code() == ErrorCode::kUsage || error.code() == ErrorCode::kFailed;
    if (!known) std::abort();
  }
}

}  // namespace
}  // namespace imgbuild::cli

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 14) return 0;
  const std::string text(reinterpret_cast<const char*>(data), size);
  imgbuild::cli::RunAny(text);
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    imgbuild::cli::RunAny(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return 0;
}
