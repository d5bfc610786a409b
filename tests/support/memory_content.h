// Blobs in a map.
#ifndef IMGBUILD_TESTS_SUPPORT_MEMORY_CONTENT_H_
#define IMGBUILD_TESTS_SUPPORT_MEMORY_CONTENT_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/store/content_store.h"

namespace imgbuild::store {

class MemoryContent : public ContentStore {
 public:
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
  friend class MemoryIngest;
  mutable std::mutex mutex_;
  std::condition_variable released_;
  std::map<oci::Digest, std::string> blobs_;
  std::map<oci::Digest, std::string> notes_;
  std::map<oci::Digest, std::string> partials_;
  std::set<oci::Digest> fetching_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_MEMORY_CONTENT_H_
