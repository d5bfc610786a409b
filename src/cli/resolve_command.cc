// `imgbuild resolve`: what a name stands for in its registry.
#include <fmt/format.h>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/util/error.h"

#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/table.h"

namespace imgbuild::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Row {
  std::string platform;  // or "attestation", "artifact"
  oci::Descriptor what;
};

// "" when the entry does not say.
std::string KindSaid(const oci::Descriptor& entry) {
  const auto type = entry.annotations.find("vnd.docker.reference.type");
  if (type != entry.annotations.end()) return "attestation";
  if (entry.platform && entry.platform->os == "unknown") return "attestation";
  if (entry.platform) return entry.platform->ToString();
  if (!oci::IsManifestType(entry.media_type)) return "index";
  return entry.artifact_type.empty() ? "" : "artifact";
}

oci::Descriptor DescriptorOf(const oci::Document& document) {
  return {document.media_type,
          document.digest,
          document.bytes.size(),
          {},
          {},
          {},
          {}};
}

class Resolver {
 public:
  Resolver(App& app, const oci::Reference& reference)
      : app_(app), reference_(reference) {}

  oci::Document Fetch(const oci::Reference& reference) {
    return app_.client().FetchDocument(reference, app_.cancel);
  }
  // The manifest for `platform`; through indexes of indexes.
  oci::Document Choose(oci::Document document, const oci::Platform& platform) {
    bool said = false;
    for (int depth = 0; document.index; ++depth) {
      if (depth == 4) {
        throw Error(ErrorCode::kRegistry,
                    fmt::format("{}: indexes are nested too deep",
                                reference_.Familiar()));
      }
      const oci::Descriptor chosen =
          oci::ChoosePlatform(*document.index, platform, reference_.Familiar());
      said = chosen.platform.has_value();
      document =
          Fetch(oci::Reference(reference_.repository(), {}, chosen.digest));
    }
    // A single image, or an entry that names no platform, says it here.
    if (said) return document;
    const auto found = PlatformIn(*document.manifest);
    if (found && !oci::MatchRank(platform, *found)) {
      throw Error(ErrorCode::kRegistry,
                  fmt::format("{} is for {}, not for {}", reference_.Familiar(),
                              found->ToString(), platform.ToString()));
    }
    return document;
  }
  // A single image's platform stands in its config; so does that of an entry
  // which names none.
  // nullopt: an artifact.
  std::optional<oci::Platform> PlatformIn(const oci::Manifest& manifest) {
    if (manifest.config.media_type != oci::media_type::kOciConfig &&
        manifest.config.media_type != oci::media_type::kDockerConfig) {
      return std::nullopt;
    }
    return oci::ParseImageConfig(app_.client().FetchSmallBlob(
                                     reference_.repository(), manifest.config,
                                     oci::kMaxConfigBytes, app_.cancel))
        .platform;
  }
  std::string KindOf(const oci::Document& document) {
    if (document.index) return "index";
    const auto platform = PlatformIn(*document.manifest);
    return platform ? platform->ToString() : "artifact";
  }
  std::vector<Row> RowsOf(const oci::Document& document) {
    if (document.manifest) {
      return {{KindOf(document), DescriptorOf(document)}};
    }
    std::vector<Row> rows;
    for (const oci::Descriptor& entry : document.index->manifests) {
      std::string kind = KindSaid(entry);
      if (kind.empty()) {
        kind = KindOf(
            Fetch(oci::Reference(reference_.repository(), {}, entry.digest)));
      }
      rows.push_back({std::move(kind), entry});
    }
    return rows;
  }

 private:
  App& app_;
  const oci::Reference& reference_;
};

void PrintJson(const oci::Reference& reference, const oci::Document& document,
               const std::vector<Row>& rows) {
  Json out = {{"name", reference.ToString()},
              {"digest", document.digest.ToString()},
              {"mediaType", document.media_type},
              {"size", document.bytes.size()},
              {"platforms", Json::array()}};
  for (const Row& row : rows) {
    out["platforms"].push_back({{"platform", row.platform},
                                {"digest", row.what.digest.ToString()},
                                {"mediaType", row.what.media_type},
                                {"size", row.what.size}});
  }
  fmt::print("{}\n", out.dump(2, ' ', false, Json::error_handler_t::replace));
}

void PrintPlain(const oci::Reference& reference, const oci::Document& document,
                const std::vector<Row>& rows) {
  fmt::print(
      "Name:       {}\nDigest:     {}\nMediaType:  {}\nSize:       {}\n\n",
      reference.ToString(), document.digest.ToString(), document.media_type,
      document.bytes.size());
  Table table({"PLATFORM", "DIGEST", "SIZE"});
  for (const Row& row : rows) {
    table.Add({row.platform, row.what.digest.ToString(),
               std::to_string(row.what.size)});
  }
  fmt::print("{}", table.ToString());
}

}  // namespace

void CheckFormat(const std::string& format) {
  if (format == "plain" || format == "json") return;
  throw Error(ErrorCode::kUsage, "unknown --format " + format)
      .WithHint("plain or json");
}

int ResolveCommand(App& app, const Words& words) {
  std::string name;
  std::string platform;
  std::string format = "plain";
  bool quiet = false;
  Args args("resolve [OPTIONS] NAME[:TAG][@DIGEST]",
            "Ask the registry what a name stands for: digest, media type, "
            "size and platforms. Nothing is stored.");
  args.Value("--platform", &platform, "OS/ARCH[/VARIANT]",
             "go on to the image for this platform");
  args.Value("--format", &format, "plain|json", "how to print it");
  args.Flag("-q,--quiet", &quiet, "print the digest only");
  args.Positional("NAME", &name, true, "what to look up");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  CheckFormat(format);
  const oci::Reference reference = oci::Reference::Parse(name).WithDefaultTag();
  if (quiet && platform.empty()) {
    fmt::print("{}\n",
               app.client().Resolve(reference, app.cancel).digest.ToString());
    return 0;
  }
  Resolver resolver(app, reference);
  oci::Document document = resolver.Fetch(reference);
  if (!platform.empty()) {
    document =
        resolver.Choose(std::move(document), oci::Platform::Parse(platform));
  }
  if (quiet) {
    fmt::print("{}\n", document.digest.ToString());
  } else if (format == "json") {
    PrintJson(reference, document, resolver.RowsOf(document));
  } else {
    PrintPlain(reference, document, resolver.RowsOf(document));
  }
  return 0;
}

}  // namespace imgbuild::cli
