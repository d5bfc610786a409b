// Any bytes as what a step sends to the ssh agent, in pieces. What must hold:
// a message is never longer than what there is, is let through only when it
// lists or signs, and its bytes decide alone, however they come in.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "imgbuild/util/error.h"

#include "build/agent_proxy.h"

namespace imgbuild::build {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void CheckStream(std::string_view bytes) {
  while (const auto request = NextAgentRequest(bytes)) {
    Require(request->size >= 5 && request->size <= bytes.size(),
            "a message is longer than what there is");
    const auto type = static_cast<unsigned char>(bytes[4]);
    Require(request->allowed == (type == 11 || type == 13),
            "another message is let through");
    const auto alone = NextAgentRequest(bytes.substr(0, request->size));
    Require(alone && alone->size == request->size, "what follows counts");
    Require(!NextAgentRequest(bytes.substr(0, request->size - 1)),
            "a part is taken for the whole");
    bytes.remove_prefix(request->size);
  }
}

}  // namespace
}  // namespace imgbuild::build

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    imgbuild::build::CheckStream({reinterpret_cast<const char*>(data), size});
  } catch (const imgbuild::Error&) {
    // Refused.
  }
  return 0;
}
