// The files of the user's that the registry client reads.
#include <cstddef>
#include <cstdint>
#include <string>

#include "imgbuild/util/error.h"

#include "registry/base64.h"
#include "registry/credential_files.h"
#include "registry/host_config.h"
#include "registry/registries_conf.h"

using namespace imgbuild::registry;  // NOLINT: a fuzz target is one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    ParseAuthFile(text, "f");
  } catch (const imgbuild::Error&) {
  }
  try {
    ParseDaemonJson(text, "f");
  } catch (const imgbuild::Error&) {
  }
  try {
    const auto rules = ParseRegistriesConf(text, "f");
    if (const RegistryRule* rule = FindRule(rules, "docker.io/library/a")) {
      RewriteName(*rule, rule->location, "docker.io/library/a");
    }
  } catch (const imgbuild::Error&) {
  }
  Base64Decode(text);
  NormaliseAuthKey(text);
  IsInsecureHost(text, "10.0.0.1:5000");
  return 0;
}
