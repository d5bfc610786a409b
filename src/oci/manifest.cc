#include "imgbuild/oci/manifest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "json.h"
#include "platform_json.h"

namespace imgbuild::oci {
namespace {

// Far beyond any real image or index; keeps loops over entries short.
constexpr size_t kMaxEntries = 10000;

Error Refused(const std::string& reason) {
  return Error(ErrorCode::kRegistry, "manifest: " + reason);
}

bool IsSchema1Type(std::string_view type) {
  return type == "application/vnd.docker.distribution.manifest.v1+json" ||
         type == "application/vnd.docker.distribution.manifest.v1+prettyjws" ||
         type == "application/vnd.docker.container.image.rootfs.diff+x-gtar";
}

Error Schema1() {
  return Refused("Docker schema 1 is not supported")
      .WithHint("push the image again with a current tool");
}

// "Application/JSON; charset=utf-8" -> "application/json". Types that say
// nothing about the content count as no claim at all.
std::string CleanClaim(std::string_view media_type) {
  std::string type = ToLower(Trim(media_type.substr(0, media_type.find(';'))));
  if (type == "application/json" || type == "text/plain" ||
      type == "application/octet-stream") {
    return "";
  }
  return type;
}

std::string DecodeBase64(const JsonValue& value, const std::string& text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int n =
      text.size() % 4 != 0 || text.size() > kMaxManifestBytes
          ? -1
          : EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                            reinterpret_cast<const unsigned char*>(text.data()),
                            static_cast<int>(text.size()));
  if (n < 0) throw value.Wrong("is not base64");
  // OpenSSL counts the padding as zero bytes.
  const size_t padding =
      text.ends_with("==") ? 2 : static_cast<size_t>(text.ends_with("="));
  out.resize(static_cast<size_t>(n) - padding);
  return out;
}

// Content that is embedded in a descriptor must be what the descriptor names.
void CheckData(const JsonValue& value, const Descriptor& descriptor) {
  const std::string text = value.String();
  if (value.IsNull()) return;
  const std::string data = DecodeBase64(value, text);
  if (data.size() != descriptor.size ||
      Digest::OfBytes(data, descriptor.digest.algorithm()) !=
          descriptor.digest) {
    throw value.Wrong("does not match the descriptor's size and digest");
  }
}

Descriptor ParseDescriptor(const JsonValue& value) {
  if (!value.IsObject()) throw value.Wrong("is not a descriptor");
  const std::string digest_text = value["digest"].String();
  const auto digest = Digest::TryParse(digest_text);
  if (!digest) {
    throw value["digest"].Wrong("is not a digest: " + Quoted(digest_text));
  }
  if (value["size"].IsNull()) throw value["size"].Wrong("is missing");
  const int64_t size = value["size"].Int();
  if (size < 0) throw value["size"].Wrong("is negative");

  Descriptor out{.media_type = value["mediaType"].String(),
                 .digest = *digest,
                 .size = static_cast<uint64_t>(size),
                 .platform = std::nullopt,
                 .annotations = value["annotations"].StringMap(),
                 .urls = value["urls"].Strings(),
                 .artifact_type = value["artifactType"].String()};
  if (out.media_type.empty()) throw value["mediaType"].Wrong("is missing");
  const JsonValue platform = value["platform"];
  if (!platform.IsNull()) out.platform = ParsePlatform(platform);
  CheckData(value["data"], out);
  return out;
}

std::vector<Descriptor> ParseDescriptors(const JsonValue& value) {
  const std::vector<JsonValue> elements = value.Elements();
  if (elements.size() > kMaxEntries) {
    throw value.Wrong("has more than " + std::to_string(kMaxEntries) +
                      " entries");
  }
  std::vector<Descriptor> out;
  out.reserve(elements.size());
  for (const JsonValue& element : elements) {
    out.push_back(ParseDescriptor(element));
  }
  return out;
}

// The type of the document, from what its source says, what it says itself,
// and its fields, which must all agree.
std::string DecideType(const JsonValue& root, const std::string& claim) {
  const JsonValue schema = root["schemaVersion"];
  const std::string own = root["mediaType"].String();
  if (IsSchema1Type(claim) || IsSchema1Type(own) ||
      (!schema.IsNull() && schema.Int() == 1)) {
    throw Schema1();
  }
  if (schema.IsNull()) throw schema.Wrong("is missing");
  if (schema.Int() != 2) {
    throw schema.Wrong("is " + std::to_string(schema.Int()) +
                       ", only 2 is supported");
  }
  if (!claim.empty() && !own.empty() && claim != own) {
    throw Refused("its mediaType is " + Quoted(own) + ", but it was sent as " +
                  Quoted(claim));
  }
  const bool has_manifests = !root["manifests"].IsNull();
  const bool has_layers = !root["layers"].IsNull();
  const bool has_config = !root["config"].IsNull();
  if (has_manifests && (has_layers || has_config)) {
    throw Refused(
        "it has both \"manifests\" and \"layers\" or \"config\", so it could "
        "be read as two different things");
  }
  std::string type = own.empty() ? claim : own;
  if (type.empty()) {
    if (!has_manifests && !has_config) {
      throw Refused("neither an image manifest nor an index");
    }
    type = has_manifests ? media_type::kOciIndex : media_type::kOciManifest;
  }
  if (!IsManifestType(type) && !IsIndexType(type)) {
    throw Refused("unsupported media type " + Quoted(type));
  }
  if (IsIndexType(type) && (has_layers || has_config)) {
    throw Refused("sent as an index, but it is an image manifest");
  }
  if (IsManifestType(type) && has_manifests) {
    throw Refused("sent as an image manifest, but it is an index");
  }
  return type;
}

Manifest ParseManifest(const JsonValue& root, const std::string& type) {
  Manifest out{.media_type = type,
               .config = ParseDescriptor(root["config"]),
               .layers = ParseDescriptors(root["layers"]),
               .annotations = root["annotations"].StringMap(),
               .artifact_type = root["artifactType"].String(),
               .subject = std::nullopt};
  if (!root["subject"].IsNull()) out.subject = ParseDescriptor(root["subject"]);
  return out;
}

void WriteDescriptor(JsonWriter* json, const Descriptor& descriptor) {
  json->BeginObject();
  json->Member("mediaType", descriptor.media_type);
  json->Member("digest", descriptor.digest.ToString());
  json->Key("size");
  json->Uint(descriptor.size);
  json->OptionalMember("urls", descriptor.urls);
  json->OptionalMember("annotations", descriptor.annotations);
  if (descriptor.platform) {
    json->Key("platform");
    WritePlatform(json, *descriptor.platform);
  }
  json->OptionalMember("artifactType", descriptor.artifact_type);
  json->EndObject();
}

void WriteDescriptors(JsonWriter* json, std::string_view key,
                      const std::vector<Descriptor>& descriptors) {
  json->Key(key);
  json->BeginArray();
  for (const Descriptor& descriptor : descriptors) {
    WriteDescriptor(json, descriptor);
  }
  json->EndArray();
}

void BeginDocument(JsonWriter* json, const std::string& type) {
  json->BeginObject();
  json->Key("schemaVersion");
  json->Int(2);
  json->OptionalMember("mediaType", type);
}

// Entries that are no images: attestations and other artifacts.
bool IsImageEntry(const Descriptor& entry) {
  if (!IsManifestType(entry.media_type) && !IsIndexType(entry.media_type)) {
    return false;
  }
  if (!entry.artifact_type.empty()) return false;
  if (entry.annotations.contains("vnd.docker.reference.type")) return false;
  return !entry.platform || entry.platform->os != "unknown" ||
         entry.platform->architecture != "unknown";
}

std::string Available(const Index& index) {
  std::vector<std::string> names;
  for (const Descriptor& entry : index.manifests) {
    if (!IsImageEntry(entry) || !entry.platform) continue;
    std::string name = entry.platform->Normalized().ToString();
    if (!entry.platform->os_version.empty()) {
      name += " (" + entry.platform->os_version + ")";
    }
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(std::move(name));
    }
  }
  return names.empty() ? "none" : Join(names, ", ");
}

}  // namespace

std::optional<Compression> LayerCompression(std::string_view media_type) {
  constexpr std::string_view kOci = "application/vnd.oci.image.layer.v1.tar";
  constexpr std::string_view kOciForeign =
      "application/vnd.oci.image.layer.nondistributable.v1.tar";
  constexpr std::string_view kDocker =
      "application/vnd.docker.image.rootfs.diff.tar";
  constexpr std::string_view kDockerForeign =
      "application/vnd.docker.image.rootfs.foreign.diff.tar";
  for (const auto& [prefix, separator] :
       {std::pair(kOci, '+'), std::pair(kOciForeign, '+'),
        std::pair(kDocker, '.'), std::pair(kDockerForeign, '.')}) {
    if (!media_type.starts_with(prefix)) continue;
    const std::string_view rest = media_type.substr(prefix.size());
    if (rest.empty()) return Compression::kNone;
    if (rest.front() != separator) continue;
    if (rest.substr(1) == "gzip") return Compression::kGzip;
    if (rest.substr(1) == "zstd") return Compression::kZstd;
  }
  return std::nullopt;
}

bool IsForeignLayer(std::string_view media_type) {
  return media_type.starts_with(
             "application/vnd.oci.image.layer.nondistributable.") ||
         media_type.starts_with("application/vnd.docker.image.rootfs.foreign.");
}

bool IsManifestType(std::string_view media_type) {
  return media_type == media_type::kOciManifest ||
         media_type == media_type::kDockerManifest;
}

bool IsIndexType(std::string_view media_type) {
  return media_type == media_type::kOciIndex ||
         media_type == media_type::kDockerList;
}

Document ParseDocument(std::string bytes, std::string_view media_type) {
  const JsonDocument json(bytes, kMaxManifestBytes, "manifest");
  const std::string type = DecideType(json.root(), CleanClaim(media_type));
  Document out{.bytes = "",
               .media_type = type,
               .digest = Digest::OfBytes(bytes),
               .manifest = std::nullopt,
               .index = std::nullopt};
  if (IsIndexType(type)) {
    out.index = Index{.media_type = type,
                      .manifests = ParseDescriptors(json.root()["manifests"]),
                      .annotations = json.root()["annotations"].StringMap()};
  } else {
    out.manifest = ParseManifest(json.root(), type);
  }
  out.bytes = std::move(bytes);
  return out;
}

std::string Serialize(const Manifest& manifest) {
  JsonWriter json;
  BeginDocument(&json, manifest.media_type);
  json.OptionalMember("artifactType", manifest.artifact_type);
  json.Key("config");
  WriteDescriptor(&json, manifest.config);
  WriteDescriptors(&json, "layers", manifest.layers);
  if (manifest.subject) {
    json.Key("subject");
    WriteDescriptor(&json, *manifest.subject);
  }
  json.OptionalMember("annotations", manifest.annotations);
  json.EndObject();
  return json.Take();
}

std::string Serialize(const Index& index) {
  JsonWriter json;
  BeginDocument(&json, index.media_type);
  WriteDescriptors(&json, "manifests", index.manifests);
  json.OptionalMember("annotations", index.annotations);
  json.EndObject();
  return json.Take();
}

const Descriptor& ChoosePlatform(const Index& index, const Platform& wanted,
                                 std::string_view name) {
  // An entry without a platform is taken when nothing else fits; its config
  // will tell.
  constexpr int kUnknownRank = std::numeric_limits<int>::max() - 1;
  int best_rank = std::numeric_limits<int>::max();
  const Descriptor* best = nullptr;
  for (const Descriptor& entry : index.manifests) {
    if (!IsImageEntry(entry)) continue;
    const auto rank = entry.platform ? MatchRank(wanted, *entry.platform)
                                     : std::optional<int>(kUnknownRank);
    if (rank && *rank < best_rank) {
      best_rank = *rank;
      best = &entry;
    }
  }
  if (best != nullptr) return *best;
  throw Error(ErrorCode::kRegistry,
              "no image for platform " + wanted.ToString() + " in " +
                  Quoted(name) + ": available: " + Available(index));
}

}  // namespace imgbuild::oci
