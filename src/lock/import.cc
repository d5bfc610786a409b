// Other tools' pins, read.
#include <fmt/format.h>

#include <optional>
#include <utility>

#include "imgbuild/lock/interchange.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "lock/foreign_pins.h"
#include "lock/json_place.h"

namespace imgbuild::lock {
namespace {

using Json = nlohmann::json;

JsonPath operator/(JsonPath path, const std::string& step) {
  path.push_back(step);
  return path;
}

std::string TextOr(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

class DockerLockReader {
 public:
  DockerLockReader(PinCollector& out, std::string_view dockerfile)
      : out_(out), dockerfile_(dockerfile) {}

  void Read(const Json& document) {
    for (const char* part : {"composefiles", "kubernetesfiles"}) {
      if (document.contains(part) && !document[part].empty()) {
        out_.Skip(
            fmt::format("{}: only the names of Dockerfiles are taken", part));
      }
    }
    if (!document.contains("dockerfiles")) return;
    const JsonPath path = {"dockerfiles"};
    const Json& files = document["dockerfiles"];
    if (!files.is_object()) {
      throw out_.At(path, "\"dockerfiles\" is not an object");
    }
    bool found = false;
    for (const auto& [file, images] : files.items()) {
      if (!dockerfile_.empty() && file != dockerfile_) continue;
      found = true;
      if (!images.is_array()) {
        throw out_.At(path / file, "the images of a file are a list");
      }
      for (size_t i = 0; i < images.size(); ++i) {
        ReadImage(images[i], path / file / std::to_string(i));
      }
    }
    if (!found && !dockerfile_.empty()) {
      throw out_
          .At(path,
              fmt::format("there is no entry for {}", Quoted(dockerfile_)))
          .WithHint("the paths are those that docker-lock was run with");
    }
  }

 private:
  void ReadImage(const Json& image, const JsonPath& path) {
    std::string name = TextOr(image, "name");
    const std::string tag = TextOr(image, "tag");
    const std::string digest = TextOr(image, "digest");
    if (name.empty()) throw out_.At(path, "an image without a name");
    if (name == "scratch") return;
    if (!tag.empty()) name += ":" + tag;
    if (digest.empty()) {
      out_.Skip(fmt::format("{}: it has no digest", name));
      return;
    }
    // Bare hexadecimal digits, which are SHA-256.
    out_.AddImage(
        name,
        digest.find(':') == std::string::npos ? "sha256:" + digest : digest,
        path / "digest");
  }

  PinCollector& out_;
  const std::string_view dockerfile_;
};

std::string PercentDecoded(std::string_view text) {
  const auto digit = [](char c) {
    const size_t at = std::string_view("0123456789abcdef")
                          .find(static_cast<char>(
                              std::tolower(static_cast<unsigned char>(c))));
    return at == std::string_view::npos ? -1 : static_cast<int>(at);
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

class ProvenanceReader {
 public:
  explicit ProvenanceReader(PinCollector& out) : out_(out) {}

  // False when the document holds none.
  bool Read(const Json& document) { return ReadPredicate(document, {}); }

 private:
  bool ReadPredicate(const Json& json, const JsonPath& path) {
    if (!json.is_object()) return false;
    for (const char* inner : {"predicate", "buildx.build.provenance"}) {
      if (json.contains(inner)) {
        return ReadPredicate(json[inner], path / inner);
      }
    }
    if (json.contains("materials")) {
      ReadMaterials(json["materials"], path / "materials");
      return true;
    }
    const std::string build = "buildDefinition";
    const std::string list = "resolvedDependencies";
    if (!json.contains(build)) return false;
    if (json[build].is_object() && json[build].contains(list)) {
      ReadMaterials(json[build][list], path / build / list);
    }
    return true;
  }

  void ReadMaterials(const Json& list, const JsonPath& path) {
    if (list.is_null()) return;
    if (!list.is_array()) throw out_.At(path, "the materials are a list");
    for (size_t i = 0; i < list.size(); ++i) {
      ReadMaterial(list[i], path / std::to_string(i));
    }
  }

  void ReadMaterial(const Json& material, const JsonPath& path) {
    const std::string uri = TextOr(material, "uri");
    const Json digests = material.is_object() && material.contains("digest") &&
                                 material["digest"].is_object()
                             ? material["digest"]
                             : Json::object();
    const std::string sha256 = TextOr(digests, "sha256");
    const JsonPath place = path / "uri";
    if (uri.starts_with("pkg:docker/")) {
      ReadPurl(uri.substr(11), sha256, place);
    } else if (uri.starts_with("pkg:")) {
      out_.Skip(fmt::format("{}: no build takes it by this name", uri));
    } else if (const std::string commit = Commit(digests); !commit.empty()) {
      out_.AddGit(uri.starts_with("git+") ? uri.substr(4) : uri, commit, place);
    } else if (uri.starts_with("http://") || uri.starts_with("https://")) {
      if (sha256.empty()) {
        out_.Skip(fmt::format("{}: it has no digest", uri));
      } else {
        out_.AddUrl(uri, "sha256:" + sha256, place);
      }
    } else {
      out_.Skip(fmt::format("{}: neither image nor URL",
                            uri.empty() ? "a material" : uri));
    }
  }

  static std::string Commit(const Json& digests) {
    for (const char* key : {"gitCommit", "sha1"}) {
      if (std::string found = TextOr(digests, key); !found.empty()) {
        return found;
      }
    }
    return "";
  }

  // alpine@3.20?platform=linux%2Famd64, host:5000/r@tag?digest=sha256:…
  void ReadPurl(const std::string& purl, std::string sha256,
                const JsonPath& place) {
    const size_t query = std::min(purl.find('?'), purl.size());
    std::string name = PercentDecoded(std::string_view(purl).substr(0, query));
    if (query < purl.size()) {
      for (const std::string& pair : Split(purl.substr(query + 1), '&')) {
        if (!pair.starts_with("digest=")) continue;
        const std::string digest = PercentDecoded(pair.substr(7));
        if (sha256.empty() && digest.starts_with("sha256:")) {
          sha256 = digest.substr(7);
        }
      }
    }
    const size_t at = name.rfind('@');
    if (at == std::string::npos) {
      out_.Skip(fmt::format("{}: it has no tag", name));
      return;
    }
    name[at] = ':';
    if (sha256.empty()) {
      out_.Skip(fmt::format("{}: it has no digest", name));
    } else {
      out_.AddImage(name, "sha256:" + sha256, place);
    }
  }

  PinCollector& out_;
};

}  // namespace

std::string_view ToString(ForeignFormat format) {
  switch (format) {
    case ForeignFormat::kDockerLock:
      return "docker-lock";
    case ForeignFormat::kSourcePolicy:
      return "source-policy";
    case ForeignFormat::kProvenance:
      return "provenance";
  }
  return "";
}

namespace {

// Both alphabets; nullopt for anything else.
std::optional<std::string> DecodeBase64(std::string_view text) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '-') c = '+';
    if (c == '_') c = '/';
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = (bits << 6 | static_cast<uint32_t>(digit)) & 0xffff;
    count += 6;
    if (count < 8) continue;
    count -= 8;
    out += static_cast<char>(bits >> count & 0xff);
  }
  return out;
}

// What a DSSE envelope holds, itself perhaps in a bundle of sigstore's; null
// when it is none. Places in it are those of the decoded text.
std::shared_ptr<const SourceFile> PayloadOf(
    const std::shared_ptr<const SourceFile>& source, const Json& document) {
  if (!document.is_object()) return nullptr;
  JsonPath path;
  const Json* envelope = &document;
  if (const auto it = document.find("dsseEnvelope"); it != document.end()) {
    path = {"dsseEnvelope"};
    envelope = &*it;
  }
  if (!envelope->is_object() || !envelope->contains("payload")) return nullptr;
  const std::string payload = TextOr(*envelope, "payload");
  const auto text = DecodeBase64(payload);
  if (!text || payload.empty()) {
    throw Error(ErrorCode::kDockerfile,
                "the payload of the envelope is not Base64")
        .At(PlaceOf(source, path / "payload"));
  }
  return std::make_shared<SourceFile>(source->name() + " (payload)", *text);
}

}  // namespace

ForeignPins Import(std::shared_ptr<const SourceFile> source,
                   std::string_view dockerfile, ForeignFormat* format) {
  const Json document = ParseJson(source, kMaxImportBytes, "file");
  PinCollector out(source);
  if (const auto payload = PayloadOf(source, document)) {
    *format = ForeignFormat::kProvenance;
    PinCollector inner(payload);
    inner.Skip("the signatures of the envelope: nothing here checks them");
    if (ProvenanceReader(inner).Read(
            ParseJson(payload, kMaxImportBytes, "payload"))) {
      return inner.Take();
    }
    throw out.At({}, "the envelope holds no provenance");
  }
  if (document.is_object() && document.contains("rules")) {
    *format = ForeignFormat::kSourcePolicy;
    CollectPolicy(SourcePolicy::Parse(source), out);
    return out.Take();
  }
  if (document.is_object() &&
      (document.contains("dockerfiles") || document.contains("composefiles") ||
       document.contains("kubernetesfiles"))) {
    *format = ForeignFormat::kDockerLock;
    DockerLockReader(out, dockerfile).Read(document);
    return out.Take();
  }
  *format = ForeignFormat::kProvenance;
  if (ProvenanceReader(out).Read(document)) return out.Take();
  throw out
      .At({},
          "neither a lock of docker-lock, nor a source policy, nor a "
          "provenance")
      .WithHint(
          "the file of `docker buildx build --metadata-file` will do, too");
}

}  // namespace imgbuild::lock
