// Descriptors, manifests and indexes (image-spec; Docker schema 2). Parsing
// keeps the exact bytes beside the values: identity is the digest of bytes, so
// nothing that was fetched is ever serialised again.
#ifndef IMGBUILD_OCI_MANIFEST_H_
#define IMGBUILD_OCI_MANIFEST_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/oci/platform.h"

namespace imgbuild::oci {

namespace media_type {
inline constexpr std::string_view kOciManifest =
    "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex =
    "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciConfig =
    "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayerTar =
    "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip =
    "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd =
    "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerConfig =
    "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayerGzip =
    "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kOciEmpty =
    "application/vnd.oci.empty.v1+json";
}  // namespace media_type

enum class Compression { kNone, kGzip, kZstd };
// What a layer's media type says; nullopt when it is not the type of a layer
// that can be unpacked (encrypted, an artifact's).
std::optional<Compression> LayerCompression(std::string_view media_type);
// Foreign / non-distributable layers.
bool IsForeignLayer(std::string_view media_type);
bool IsManifestType(std::string_view media_type);
bool IsIndexType(std::string_view media_type);

// Caps of what is parsed (registry.md C.9).
inline constexpr size_t kMaxManifestBytes = 4u << 20;
inline constexpr size_t kMaxConfigBytes = 8u << 20;

struct Descriptor {
  std::string media_type;
  Digest digest;
  uint64_t size = 0;
  std::optional<Platform> platform;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> urls;
  std::string artifact_type;
  auto operator<=>(const Descriptor&) const = default;
};

struct Manifest {
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
  std::string artifact_type;
  std::optional<Descriptor> subject;
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations;
};

// What a registry or a layout hands out under one digest.
struct Document {
  std::string bytes;                 // exact
  std::string media_type;            // as found: header, body or by its fields
  Digest digest;                     // of bytes
  std::optional<Manifest> manifest;  // exactly one of the two is set
  std::optional<Index> index;
};

// Parses a manifest or an index. `media_type` is what the source claims ("" if
// it claims nothing; parameters are cut, "application/json", "text/plain" and
// "application/octet-stream" claim nothing). Refuses by name: schema 1, a body
// whose mediaType differs from the claim, a body with both `manifests` and
// `layers`, unknown types, malformed digests, negative sizes, a `data` that is
// not what its descriptor says, a key that an object has twice, nesting over 64
// levels. Throws Error(kRegistry).
Document ParseDocument(std::string bytes, std::string_view media_type);

// Canonical JSON of our own documents: keys in the specification's order, no
// white space. Same value, same bytes.
std::string Serialize(const Manifest& manifest);
std::string Serialize(const Index& index);

// The entry of an index that a machine of `wanted` uses: best MatchRank, first
// in index order among equals; attestation (unknown/unknown) and artifact
// entries are skipped; an entry that names no platform is the last resort (look
// at its config). It may be an index again. Throws Error(kRegistry) that lists
// what there is.
const Descriptor& ChoosePlatform(const Index& index, const Platform& wanted,
                                 std::string_view name);

}  // namespace imgbuild::oci

#endif  // IMGBUILD_OCI_MANIFEST_H_
