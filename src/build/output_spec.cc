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

// What compression=, compression-level= and force-compression= say together.
struct CompressionKeys {
  std::string name;
  std::string level;
  bool force = false;

  std::optional<transfer::WantedCompression> Parse(Type type) const {
    if (name.empty() && level.empty() && !force) return std::nullopt;
    if (type != Type::kOci && type != Type::kDocker) {
      throw Error(ErrorCode::kUsage,
                  "--output compression=… is for type=oci and type=docker")
          .WithHint("`imgbuild push --compression` is for a registry");
    }
    transfer::WantedCompression wanted{ParseName(), ParseLevel()};
    if (!force) {
      throw Error(ErrorCode::kUsage,
                  "--output compression=… without force-compression=true: "
                  "leaving the base's layers as they are is not supported")
          .WithHint("force-compression=true compresses all layers");
    }
    return wanted;
  }

 private:
  oci::Compression ParseName() const {
    if (name == "gzip") return oci::Compression::kGzip;
    if (name == "zstd") return oci::Compression::kZstd;
    if (name == "uncompressed") return oci::Compression::kNone;
    throw Error(ErrorCode::kUsage,
                name.empty() ? "--output needs compression=… beside the other "
                               "keys of compression"
                             : fmt::format("unknown compression {} in --output",
                                           Quoted(name)))
        .WithHint("gzip, zstd or uncompressed");
  }
  std::optional<int> ParseLevel() const {
    if (level.empty()) return std::nullopt;
    const auto number = ParseUint(level);
    const uint64_t highest = name == "gzip" ? 12 : name == "zstd" ? 22 : 0;
    if (!number || *number > highest) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--output compression-level={} is no level of {}",
                              level, name));
    }
    return static_cast<int>(*number);
  }
};

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
  CompressionKeys compression;
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
    } else if (key == "compression") {
      compression.name = value;
    } else if (key == "compression-level") {
      compression.level = value;
    } else if (key == "force-compression") {
      compression.force = ParseBool(key, value);
    } else {
      Error error(ErrorCode::kUsage,
                  fmt::format("unknown key {} in --output", Quoted(key)));
      const std::vector<std::string> known = {"type",
                                              "dest",
                                              "name",
                                              "tar",
                                              "compression",
                                              "compression-level",
                                              "force-compression"};
      const auto near = Suggest(key, known);
      throw error.WithHint(near ? fmt::format("did you mean {}?", *near)
                                : "the keys are " + Join(known, ", "));
    }
  }
  if (!typed) {
    throw Error(ErrorCode::kUsage, "--output needs type=…")
        .WithHint("for example --output type=oci,dest=image.tar");
  }
  spec.compression = compression.Parse(spec.type);
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
