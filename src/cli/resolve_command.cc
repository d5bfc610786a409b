// `imgbuild resolve`: what a name stands for in its registry.
#include <fmt/format.h>

#include "imgbuild/transfer/copy.h"
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

std::string KindOf(transfer::ImageSource& source,
                   const oci::Document& document) {
  if (document.index) return "index";
  const auto platform = transfer::PlatformOf(source, *document.manifest);
  return platform ? platform->ToString() : "artifact";
}

// What an entry does not say stands in its image's config, as for a single
// image.
std::vector<Row> RowsOf(transfer::ImageSource& source,
                        const oci::Document& document) {
  if (document.manifest) {
    return {{KindOf(source, document), DescriptorOf(document)}};
  }
  std::vector<Row> rows;
  for (const oci::Descriptor& entry : document.index->manifests) {
    std::string kind = KindSaid(entry);
    if (kind.empty()) kind = KindOf(source, source.Load(entry.digest));
    rows.push_back({std::move(kind), entry});
  }
  return rows;
}

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
  const auto source =
      transfer::RegistrySource(app.client(), reference, app.cancel);
  oci::Document document = source->Root();
  if (!platform.empty()) {
    document = transfer::ChooseImage(*source, std::move(document),
                                     oci::Platform::Parse(platform));
  }
  if (quiet) {
    fmt::print("{}\n", document.digest.ToString());
  } else if (format == "json") {
    PrintJson(reference, document, RowsOf(*source, document));
  } else {
    PrintPlain(reference, document, RowsOf(*source, document));
  }
  return 0;
}

}  // namespace imgbuild::cli
