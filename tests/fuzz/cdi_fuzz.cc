// Any bytes as a description of devices (CDI), as JSON when they begin like it
// and as YAML else. What must hold: bad input is an Error that says why, and
// what was read is whole.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "imgbuild/exec/cdi.h"
#include "imgbuild/util/error.h"

namespace imgbuild::exec {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void Check(const std::string& text) {
  try {
    const CdiSpec spec = ParseCdiSpec(text, !text.starts_with('{'));
    Require(!spec.kind.empty(), "a kind");
    Require(!spec.devices.empty(), "devices");
    for (const CdiSpec::Device& device : spec.devices) {
      Require(!device.name.empty(), "a name");
      for (const ContainerEdits::Node& node : device.edits.nodes) {
        Require(node.path.starts_with("/dev/"), "a node below /dev");
      }
      for (const std::string& pair : device.edits.env) {
        Require(pair.find('=') != std::string::npos, "a variable");
      }
    }
  } catch (const Error& error) {
    Require(!error.message().empty(), "a reason");
  }
}

}  // namespace
}  // namespace imgbuild::exec

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 14) return 0;
  imgbuild::exec::Check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
