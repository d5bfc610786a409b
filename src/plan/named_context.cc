#include "imgbuild/plan/named_context.h"

#include <fmt/format.h>

#include <array>

#include "imgbuild/plan/git_source.h"
#include "imgbuild/plan/resolver.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::plan {
namespace {

using Kind = NamedContext::Kind;

struct Prefix {
  std::string_view text;
  Kind kind;
};
constexpr std::array<Prefix, 3> kPrefixes = {
    {{"docker-image://", Kind::kImage},
     {"oci-layout://", Kind::kOciLayout},
     {"target:", Kind::kStage}}};

}  // namespace

bool IsHttpUrl(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

NamedContext ParseNamedContext(std::string_view text) {
  for (const Prefix& prefix : kPrefixes) {
    if (!text.starts_with(prefix.text)) continue;
    NamedContext context{prefix.kind,
                         std::string(text.substr(prefix.text.size()))};
    if (context.value.empty()) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("nothing stands behind {}", prefix.text));
    }
    return context;
  }
  const size_t scheme = text.find("://");
  if (scheme != std::string_view::npos && !IsHttpUrl(text) && !IsGitUrl(text)) {
    Error error(ErrorCode::kUsage,
                fmt::format("unsupported context {}", Quoted(text)));
    const auto near = Suggest(std::string(text.substr(0, scheme)),
                              {"docker-image", "oci-layout", "https", "git"});
    throw error.WithHint(
        near ? fmt::format("did you mean {}://?", *near)
             : "a context is a directory, docker-image://REF, "
               "oci-layout://PATH[:TAG|@DIGEST], an http(s) or git URL, or "
               "target:STAGE");
  }
  return {Kind::kFiles, std::string(text)};
}

ContextName SplitContextName(std::string_view text) {
  const size_t mark = text.rfind("::");
  if (mark == std::string_view::npos) return {std::string(text), std::nullopt};
  return {std::string(text.substr(0, mark)),
          oci::Platform::Parse(text.substr(mark + 2))};
}

ResolvedImage ImageResolver::ResolveLayout(const std::string& layout,
                                           const oci::Platform&) {
  throw Error(ErrorCode::kUsage,
              fmt::format("oci-layout://{} cannot be used here", layout));
}

}  // namespace imgbuild::plan
