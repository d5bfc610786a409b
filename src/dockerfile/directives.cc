#include "imgbuild/dockerfile/directives.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "dockerfile/quote.h"
#include "dockerfile/sub_range.h"

namespace imgbuild::dockerfile {
namespace {

// Names, trimmed; the empty ones dropped.
std::vector<std::string> Names(std::string_view list, bool* all) {
  std::vector<std::string> out;
  for (const std::string& part : Split(list, ',')) {
    const std::string_view name = Trim(part);
    if (name == "all") *all = true;
    if (!name.empty()) out.emplace_back(name);
  }
  return out;
}

bool IsGoTrue(std::string_view text, bool* value) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return *value = true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) {
      *value = false;
      return true;
    }
  }
  return false;
}

void CheckSyntax(const Directive& directive) {
  const Word value = DirectiveValue(directive);
  const std::string_view whole = value.text;
  const std::string_view reference =
      whole.substr(0, std::min(whole.find_first_of(" \t"), whole.size()));
  // Up to the tag and the digest; the registry's own names are optional.
  std::string_view name = reference.substr(0, reference.find('@'));
  const size_t slash = name.rfind('/');
  const size_t colon = name.find(':', slash == name.npos ? 0 : slash);
  name = name.substr(0, colon);
  for (std::string_view registry :
       {"docker.io/", "index.docker.io/", "registry-1.docker.io/"}) {
    if (name.starts_with(registry)) name.remove_prefix(registry.size());
  }
  for (std::string_view known :
       {"docker/dockerfile", "docker/dockerfile-upstream", "dockerfile.v0"}) {
    if (name == known) return;
  }
  throw Error(ErrorCode::kDockerfile,
              "the frontend " + Shown(reference) + " cannot be used")
      .At(SubRange(value, 0, reference.size()))
      .WithHint(
          "only docker/dockerfile is understood, and it is built in: no "
          "frontend image is ever run");
}

}  // namespace

Word DirectiveValue(const Directive& directive) {
  Word value{directive.value, directive.range};
  if (!directive.range) return value;
  // The value is the last thing on its line.
  const std::string_view line =
      directive.range.file()->Line(directive.range.begin().line);
  const size_t at = line.rfind(directive.value);
  if (at == std::string_view::npos) return value;
  const uint32_t number = directive.range.begin().line;
  const uint32_t column = static_cast<uint32_t>(at) + 1;
  value.range = SourceRange(
      directive.range.file(), {number, column},
      {number, column + static_cast<uint32_t>(directive.value.size())});
  return value;
}

CheckOptions ParseCheckOptions(const Word& value) {
  CheckOptions out;
  size_t begin = 0;
  size_t count = 0;
  for (const std::string& part : Split(value.text, ';')) {
    const SourceRange range = SubRange(value, begin, part.size());
    begin += part.size() + 1;
    if (++count > 3) {
      throw Error(ErrorCode::kDockerfile,
                  "check directive: more than three options")
          .At(range);
    }
    const size_t equals = part.find('=');
    const std::string key(Trim(std::string_view(part).substr(0, equals)));
    if (equals == std::string::npos) {
      throw Error(ErrorCode::kDockerfile,
                  "check directive: " + Shown(Trim(part)) + " has no '='")
          .At(range)
          .WithHint("write skip=RULE, error=true or experimental=RULE");
    }
    const std::string_view text =
        Trim(std::string_view(part).substr(equals + 1));
    if (key == "skip") {
      out.skip = Names(text, &out.skip_all);
    } else if (key == "experimental") {
      out.experimental = Names(text, &out.experimental_all);
    } else if (key == "error") {
      if (!IsGoTrue(text, &out.error)) {
        throw Error(
            ErrorCode::kDockerfile,
            "check directive: error is true or false, not " + Shown(text))
            .At(range);
      }
    } else {
      Error error(ErrorCode::kDockerfile,
                  "check directive: unknown option " + Shown(key));
      error.At(range);
      if (const auto near = Suggest(key, {"skip", "error", "experimental"})) {
        error.WithHint("did you mean \"" + *near + "\"?");
      } else {
        error.WithHint("the options are skip, error and experimental");
      }
      throw error;
    }
  }
  return out;
}

void CheckDirective(const Directive& directive) {
  if (directive.name == "syntax") CheckSyntax(directive);
  if (directive.name == "check") ParseCheckOptions(DirectiveValue(directive));
}

}  // namespace imgbuild::dockerfile
