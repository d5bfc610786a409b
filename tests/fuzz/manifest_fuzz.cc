// Manifests, indexes and configs as a hostile registry would write them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"

using namespace imgbuild::oci;  // NOLINT: a fuzz target is one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const Document document = ParseDocument(text, "");
    if (document.bytes != text) std::abort();
    if (document.manifest.has_value() == document.index.has_value()) {
      std::abort();
    }
    if (document.index) {
      ChoosePlatform(*document.index, Platform::Parse("linux/amd64"), "x");
    }
  } catch (const imgbuild::Error&) {
  }
  try {
    // What was read can be written, and reads the same.
    const std::string written = Serialize(ParseImageConfig(text));
    if (Serialize(ParseImageConfig(written)) != written) std::abort();
  } catch (const imgbuild::Error&) {
  }
  return 0;
}
