#include <fmt/format.h>

#include "imgbuild/build/exporter.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

using Type = OutputSpec::Type;

Type ParseType(const std::string& text) {
  if (text == "image") return Type::kImage;
  if (text == "oci") return Type::kOci;
  if (text == "docker") return Type::kDocker;
  if (text == "tar") return Type::kTar;
  if (text == "local") return Type::kLocal;
  Error error(ErrorCode::kUsage,
              fmt::format("unknown output type {}", Quoted(text)));
  const std::vector<std::string> known = {"image", "oci", "docker", "tar",
                                          "local"};
  const auto near = Suggest(text, known);
  throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                            : "the types are " + Join(known, ", "));
}

bool ParseBool(const std::string& key, const std::string& value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  throw Error(ErrorCode::kUsage,
              fmt::format("--output {}={}: true or false", key, value));
}

// Values may hold commas inside double quotes: type=image,"name=a,b".
std::vector<std::string> SplitCsv(std::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : text) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--output {}: a quote is not closed", text));
  }
  return fields;
}

}  // namespace

OutputSpec ParseOutput(std::string_view text) {
  OutputSpec spec;
  if (text == "-") {
    spec.type = Type::kTar;
    spec.dest = "-";
    return spec;
  }
  if (text.find('=') == std::string_view::npos) {
    if (text.empty()) throw Error(ErrorCode::kUsage, "--output is empty");
    spec.type = Type::kLocal;
    spec.dest = text;
    return spec;
  }
  bool typed = false;
  for (const std::string& field : SplitCsv(text)) {
    const size_t eq = field.find('=');
    const std::string key = ToLower(Trim(field.substr(0, eq)));
    const std::string value =
        eq == std::string::npos ? "" : field.substr(eq + 1);
    if (key == "type") {
      spec.type = ParseType(value);
      typed = true;
    } else if (key == "dest") {
      spec.dest = value;
    } else if (key == "name") {
      for (const std::string& name : Split(value, ',')) {
        spec.names.push_back(name);
      }
    } else if (key == "tar") {
      spec.as_tar = ParseBool(key, value);
    } else {
      Error error(ErrorCode::kUsage,
                  fmt::format("unknown key {} in --output", Quoted(key)));
      const auto near = Suggest(key, {"type", "dest", "name", "tar"});
      throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                                : "the keys are type, dest, name, tar");
    }
  }
  if (!typed) {
    throw Error(ErrorCode::kUsage, "--output needs type=…")
        .WithHint("for example --output type=oci,dest=image.tar");
  }
  if (spec.type == Type::kLocal && spec.dest.empty()) {
    throw Error(ErrorCode::kUsage, "--output type=local needs dest=DIR");
  }
  if (spec.type == Type::kLocal && spec.dest == "-") {
    throw Error(ErrorCode::kUsage,
                "--output type=local cannot go to standard output")
        .WithHint("type=tar,dest=- can");
  }
  if (spec.dest.empty() && spec.type != Type::kImage) spec.dest = "-";
  if (!spec.as_tar && spec.dest == "-") {
    throw Error(ErrorCode::kUsage, "--output tar=false needs dest=DIR");
  }
  return spec;
}

}  // namespace imgbuild::build
