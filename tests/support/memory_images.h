// Names and images in vectors.
#ifndef IMGBUILD_TESTS_SUPPORT_MEMORY_IMAGES_H_
#define IMGBUILD_TESTS_SUPPORT_MEMORY_IMAGES_H_

#include <set>
#include <utility>
#include <vector>

#include "imgbuild/store/image_store.h"

#include "store/lookup.h"

namespace imgbuild::store {

// Not thread-safe.
class MemoryImages : public ImageStore {
 public:
  void PutImage(const ImageRecord& image) override;
  std::optional<oci::Digest> SetName(const NameRecord& name) override;
  void LinkIndex(const oci::Digest& index,
                 const oci::Digest& manifest) override;
  std::optional<Match> Find(const std::string& text) const override;
  std::optional<ImageRecord> FindManifest(
      const oci::Digest& manifest) const override;
  std::vector<NameRecord> NamesOf(const oci::Digest& manifest) const override;
  std::vector<NameRecord> NamesOfId(const oci::ImageId& id) const override;
  std::vector<NamedImage> List(ListDetail detail) const override;
  void RemoveName(const NameRecord& name) override;
  void RemoveImage(const oci::Digest& manifest) override;

  // Every digest that an image or a name needs.
  std::set<oci::Digest> Needed() const;

 private:
  void Insert(const NameRecord& name);
  std::optional<Match> FindDigest(const Lookup& lookup) const;
  std::optional<Match> FindPrefix(const Lookup& lookup) const;
  std::optional<Match> FindId(const Lookup& lookup) const;

  std::vector<ImageRecord> images_;
  std::vector<NameRecord> names_;
  std::set<std::pair<oci::Digest, oci::Digest>> links_;  // index, manifest
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_MEMORY_IMAGES_H_
