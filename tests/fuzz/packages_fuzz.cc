// The package databases of an image, which `diff` reads and prints: any bytes
// give printable words, never an error.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "cli/image_diff.h"

namespace {

void CheckWord(const std::string& text) {
  if (text.empty()) std::abort();
  for (const char c : text) {
    if ((c >= 0 && c <= ' ') || c == '\x7f') std::abort();
  }
}

void Check(const std::map<std::string, std::string>& packages) {
  for (const auto& [name, version] : packages) {
    CheckWord(name);
    CheckWord(version);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto dpkg = imgbuild::cli::ParseDpkgStatus(text);
  const auto apk = imgbuild::cli::ParseApkInstalled(text);
  Check(dpkg);
  Check(apk);
  imgbuild::cli::DiffMaps(dpkg, apk);
  return 0;
}
