// Any bytes as a source policy and as another tool's lock. What must hold: bad
// input is an Error at its place, a policy decides about any source without
// end or crash, and what was read as pins has a digest or a commit each.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "imgbuild/lock/interchange.h"
#include "imgbuild/lock/source_policy.h"
#include "imgbuild/util/error.h"

namespace imgbuild::lock {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void CheckError(const Error& error, ErrorCode code) {
  Require(error.code() == code, "the code of an error");
  Require(code == ErrorCode::kPolicy || error.range(),
          "an error without a place");
}

void CheckPolicy(const std::shared_ptr<const SourceFile>& source) {
  try {
    const SourcePolicy policy = SourcePolicy::Parse(source);
    for (const char* identifier :
         {"docker-image://docker.io/library/alpine:3.20", "local://context",
          "https://example.org/a.tar", "git://github.com/o/r.git#main", "x"}) {
      try {
        policy.Evaluate({identifier, {{"http.checksum", "sha256:1"}}});
      } catch (const Error& error) {
        CheckError(error, ErrorCode::kPolicy);
      }
    }
  } catch (const Error& error) {
    CheckError(error, ErrorCode::kDockerfile);
  }
}

void CheckImport(const std::shared_ptr<const SourceFile>& source) {
  try {
    ForeignFormat format = ForeignFormat::kDockerLock;
    for (const ForeignPin& pin : Import(source, "", &format).pins) {
      Require(!pin.name.empty(), "a pin without a name");
      Require(pin.digest.has_value() != !pin.commit.empty(),
              "a pin without a digest");
      Require((pin.kind == Kind::kImage) == pin.image.has_value(),
              "an image without a reference");
    }
  } catch (const Error& error) {
    CheckError(error, ErrorCode::kDockerfile);
  }
}

}  // namespace
}  // namespace imgbuild::lock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 16) return 0;
  const auto source = std::make_shared<const imgbuild::SourceFile>(
      "x.json", std::string(reinterpret_cast<const char*>(data), size));
  imgbuild::lock::CheckPolicy(source);
  imgbuild::lock::CheckImport(source);
  return 0;
}
