// Any bytes as a policy file. What must hold: bad input is an Error at its
// place, and what was read judges any facts without a crash.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "imgbuild/lock/policy.h"
#include "imgbuild/util/error.h"

namespace imgbuild::lock {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

PolicyFacts Facts() {
  PolicyFacts facts;
  UsedName image;
  image.image = oci::Reference::Parse("docker.io/library/alpine:3.20");
  image.name = image.image->ToString();
  facts.used.push_back(image);
  UsedName url;
  url.kind = Kind::kUrl;
  url.name = "https://example.org/a";
  facts.used.push_back(url);
  facts.runs.push_back({"deps", "default", {}});
  return facts;
}

void Check(const std::string& text) {
  try {
    const Policy policy =
        ParsePolicyFile(std::make_shared<SourceFile>("imgbuild.toml", text));
    for (const PolicyFinding& finding : EvaluatePolicy(policy, Facts())) {
      Require(!finding.message.empty(), "a finding without words");
      Require(static_cast<bool>(finding.rule_range), "a rule without a place");
    }
  } catch (const Error& error) {
    Require(error.code() == ErrorCode::kDockerfile, "the code of an error");
    Require(static_cast<bool>(error.range()), "an error without a place");
  }
}

}  // namespace
}  // namespace imgbuild::lock

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 14) return 0;
  imgbuild::lock::Check(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
