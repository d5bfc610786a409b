// Any bytes as a lock. What must hold: a bad one is an Error at its place; a
// good one formats to a text that parses to the same text.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "imgbuild/lock/lockfile.h"
#include "imgbuild/util/error.h"

namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using imgbuild::lock::Format;
  using imgbuild::lock::Parse;
  const auto source = [](std::string text) {
    return std::make_shared<const imgbuild::SourceFile>("Dockerfile.lock",
                                                        std::move(text));
  };
  std::string text;
  try {
    text = Format(
        Parse(source(std::string(reinterpret_cast<const char*>(data), size))));
  } catch (const imgbuild::Error& error) {
    Require(error.code() == imgbuild::ErrorCode::kDockerfile, "the code");
    Require(static_cast<bool>(error.range()), "an error without a place");
    static_cast<void>(error.Render());
    return 0;
  }
  try {
    Require(Format(Parse(source(text))) == text, "not a fixed point");
  } catch (const imgbuild::Error& error) {
    std::fprintf(stderr, "%s%s", text.c_str(), error.Render().c_str());
    Require(false, "what was written cannot be read");
  }
  return 0;
}
