// Names and images. An image is a manifest; the store knows it by its final
// manifest digest from the moment it is built or pulled. Names are triples
// (repository, tag or none, digest); the digest is what the name was given
// for, so it may be an index's.
#ifndef IMGBUILD_STORE_IMAGE_STORE_H_
#define IMGBUILD_STORE_IMAGE_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"

namespace imgbuild::store {

struct ImageRecord {
  oci::Digest manifest;  // of the image manifest
  oci::ImageId id;       // config digest
  oci::Platform platform;
  std::optional<int64_t> created_s;  // from the config
  int64_t stored_s = 0;              // when it came into this store
  // Unpacked size: sum of the layers' tar sizes (compressed size while
  // unknown).
  uint64_t size = 0;
  std::vector<oci::DiffId> diff_ids;
  std::vector<oci::Descriptor> layers;  // same order
};

struct NameRecord {
  oci::Repository repository;
  std::optional<std::string> tag;  // nullopt: known by digest only
  oci::Digest target;              // manifest or index
  oci::Digest manifest;            // the image behind it here
  // `pulled as alpine:3.20@sha256:…`: the tag that was beside the digest.
  std::optional<std::string> tag_hint;
  bool pulled = false;  // as opposed to built or tagged here
};

struct NamedImage {
  ImageRecord image;
  // By repository, tags before digest links; may be empty.
  std::vector<NameRecord> names;
};

// What a word of the command line means.
struct Match {
  ImageRecord image;
  enum class How { kDigest, kTag, kId } how = How::kTag;
  std::optional<NameRecord> name;  // the name that matched
};

// How much of each image List() reads.
enum class ListDetail {
  kFull,
  kWithoutLayers,  // diff_ids and layers stay empty: all that `images` needs
};

class ImageStore {
 public:
  virtual ~ImageStore() = default;

  // Idempotent. REQUIRES: manifest and config are in the content store.
  // stored_s 0 is now; an image that is there already keeps its own.
  virtual void PutImage(const ImageRecord& image) = 0;
  // Makes or moves a name. A digest link (tag nullopt) for (repository,
  // target) is made with every tag and stays when the tag moves on. Returns
  // the manifest a moved tag was on before. REQUIRES: name.manifest was put.
  virtual std::optional<oci::Digest> SetName(const NameRecord& name) = 0;
  // Remembers an index and which of its manifests are here.
  virtual void LinkIndex(const oci::Digest& index,
                         const oci::Digest& manifest) = 0;

  // Resolution order of cli.md B.8: digest (under that repository if one is
  // given), name[:latest], unique id prefix. nullopt when there is nothing;
  // Error(kUsage) "ambiguous …" listing the candidates.
  virtual std::optional<Match> Find(const std::string& text) const = 0;
  virtual std::optional<ImageRecord> FindManifest(
      const oci::Digest& manifest) const = 0;
  virtual std::vector<NameRecord> NamesOf(
      const oci::Digest& manifest) const = 0;
  virtual std::vector<NameRecord> NamesOfId(const oci::ImageId& id) const = 0;
  // Every image with its names, the one that came last (stored_s) first.
  virtual std::vector<NamedImage> List(
      ListDetail detail = ListDetail::kFull) const = 0;

  // Exactly this triple; idempotent.
  virtual void RemoveName(const NameRecord& name) = 0;
  // The record only; blobs and layers go with Sweep(). Also drops its names.
  virtual void RemoveImage(const oci::Digest& manifest) = 0;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_STORE_IMAGE_STORE_H_
