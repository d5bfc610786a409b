// Blobs as files, blobs/ALGORITHM/HEX.
#ifndef IMGBUILD_SRC_STORE_LOCAL_CONTENT_H_
#define IMGBUILD_SRC_STORE_LOCAL_CONTENT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/store/content_store.h"

#include "store/layout.h"
#include "store/unsynced.h"

namespace imgbuild::store {

// Thread-safe. Both arguments must outlive it and its ingests.
class LocalContent : public ContentStore {
 public:
  LocalContent(Layout& layout, Unsynced& unsynced)
      : layout_(layout), unsynced_(unsynced) {}

  bool Has(const oci::Digest& digest) const override;
  std::optional<uint64_t> Size(const oci::Digest& digest) const override;
  std::optional<UniqueFd> Open(const oci::Digest& digest) const override;
  std::optional<std::string> Read(const oci::Digest& digest,
                                  size_t cap) const override;
  std::unique_ptr<Ingest> Begin(std::optional<oci::Digest> expected,
                                std::optional<uint64_t> size) override;
  std::unique_ptr<Ingest> BeginResumable(const oci::Digest& expected,
                                         uint64_t size,
                                         const CancelToken* cancel) override;
  std::optional<std::string> Note(const oci::Digest& digest) const override;
  void SetNote(const oci::Digest& digest, std::string_view bytes) override;
  void Remove(const oci::Digest& digest) override;
  std::vector<oci::Digest> List() const override;

 private:
  Layout& layout_;
  Unsynced& unsynced_;
};

// "partial-sha256-HEX", in tmp/.
std::string PartialName(const oci::Digest& digest);

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_LOCAL_CONTENT_H_
