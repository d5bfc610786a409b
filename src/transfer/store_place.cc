// The store as a place.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <mutex>

#include "imgbuild/oci/image_config.h"
#include "imgbuild/transfer/place.h"
#include "imgbuild/util/error.h"

#include "transfer/file_blob.h"
#include "transfer/put_bytes.h"

namespace imgbuild::transfer {
namespace {

// Opened when somebody really wants the bytes.
class StoredBlob : public registry::BlobSource {
 public:
  StoredBlob(store::Store& store, Transfer& transfer, oci::Descriptor blob)
      : store_(store), transfer_(transfer), blob_(std::move(blob)) {}
  uint64_t size() const override { return blob_.size; }
  std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
    if (!store_.content().Has(blob_.digest)) {
      // The DiffId does not matter to fetching.
      transfer_.EnsureBlobs({{oci::DiffId(blob_.digest), blob_}});
    }
    auto file = store_.content().Open(blob_.digest);
    if (!file) {
      throw Error(ErrorCode::kHost, fmt::format("blob {} is not in the store",
                                                blob_.digest.ToString()));
    }
    return std::make_unique<FileReader>(std::move(*file), offset,
                                        blob_.digest.ToString());
  }

 private:
  store::Store& store_;
  Transfer& transfer_;
  const oci::Descriptor blob_;
};

class StoreSourceImpl : public ImageSource {
 public:
  StoreSourceImpl(store::Store& store, Transfer& transfer,
                  const oci::Digest& target,
                  std::optional<oci::Reference> reference)
      : store_(store),
        transfer_(transfer),
        target_(target),
        reference_(std::move(reference)) {}

  std::string name() const override {
    return reference_ ? reference_->Familiar() : target_.ToString();
  }
  std::optional<oci::Reference> reference() const override {
    return reference_;
  }
  oci::Document Root() override { return Load(target_); }
  oci::Document Load(const oci::Digest& digest) override {
    auto bytes = store_.content().Read(digest, oci::kMaxManifestBytes);
    if (bytes) {
      oci::Document document = oci::ParseDocument(std::move(*bytes), "");
      document.digest = digest;
      return document;
    }
    Error error(ErrorCode::kHost, fmt::format("manifest {} is not in the store",
                                              digest.ToString()));
    if (digest != target_) {
      error.WithHint(
          "of an index, the store has the images that were pulled: --platform "
          "takes one of them, `imgbuild copy` all from the registry");
    }
    throw error;
  }
  std::unique_ptr<registry::BlobSource> Blob(
      const oci::Descriptor& blob) override {
    return std::make_unique<StoredBlob>(store_, transfer_, blob);
  }
  std::vector<oci::Repository> Holders(const oci::Digest& blob) override {
    std::vector<oci::Repository> holders;
    for (const store::BlobOrigin& origin : store_.Origins(blob)) {
      holders.push_back(origin.repository);
    }
    return holders;
  }

 private:
  store::Store& store_;
  Transfer& transfer_;
  const oci::Digest target_;
  const std::optional<oci::Reference> reference_;
};

class StoreTargetImpl : public ImageTarget {
 public:
  StoreTargetImpl(store::Store& store, const oci::Reference& name,
                  const oci::Platform& platform, const CancelToken& cancel)
      : store_(store),
        name_(name.WithDefaultTag()),
        platform_(platform),
        cancel_(cancel) {}

  // Documents are cheap, and Name() wants to see them all.
  bool Has(const oci::Document&) override { return false; }

  registry::PushOutcome PutBlob(
      const oci::Descriptor& blob, registry::BlobSource& bytes,
      const std::vector<oci::Repository>& holders) override {
    for (const oci::Repository& holder : holders) {
      store_.AddOrigin(blob.digest, holder);
    }
    if (store_.content().Has(blob.digest)) {
      return registry::PushOutcome::kExists;
    }
    const auto ingest =
        store_.content().BeginResumable(blob.digest, blob.size, &cancel_);
    if (store_.content().Has(blob.digest)) {
      return registry::PushOutcome::kExists;
    }
    if (ingest->offset() < blob.size) {
      CopyAll(*bytes.ReadFrom(ingest->offset()), *ingest);
    }
    ingest->Commit();
    return registry::PushOutcome::kUploaded;
  }

  void PutDocument(const oci::Document& document) override {
    PutBytes(store_.content(), document.digest, document.bytes);
    if (document.manifest) {
      if (auto image = Image(document)) images_.push_back(std::move(*image));
    }
  }

  void Name(const oci::Document& root) override {
    PutDocument(root);
    if (images_.empty()) {
      throw Error(ErrorCode::kRegistry,
                  fmt::format("{} is no image: the store cannot name it",
                              root.digest.ToString()));
    }
    const plan::ResolvedImage* best = nullptr;
    std::optional<int> best_rank;
    for (const plan::ResolvedImage& image : images_) {
      store_.images().PutImage(RecordImage(store_, image));
      if (root.index) {
        store_.images().LinkIndex(root.digest, image.manifest);
        // By its digest, so that none of them looks forgotten.
        store_.images().SetName({name_.repository(), std::nullopt,
                                 image.manifest, image.manifest, std::nullopt,
                                 true});
      }
      const auto rank = oci::MatchRank(platform_, image.config.platform);
      if (best == nullptr || (rank && (!best_rank || *rank < *best_rank))) {
        best = &image;
        best_rank = rank;
      }
    }
    store_.images().SetName({name_.repository(), name_.tag(), root.digest,
                             best->manifest, std::nullopt, true});
  }

 private:
  // nullopt for an artifact.
  std::optional<plan::ResolvedImage> Image(
      const oci::Document& document) const {
    const oci::Manifest& manifest = *document.manifest;
    if (manifest.config.media_type != oci::media_type::kOciConfig &&
        manifest.config.media_type != oci::media_type::kDockerConfig) {
      return std::nullopt;
    }
    const auto config =
        store_.content().Read(manifest.config.digest, oci::kMaxConfigBytes);
    if (!config) return std::nullopt;
    plan::ResolvedImage image{name_,
                              document.digest,
                              document.digest,
                              manifest.config.digest,
                              oci::ParseImageConfig(*config),
                              manifest.layers};
    // Attestations have an image's config and none of its layers.
    if (image.config.diff_ids.size() != image.layers.size() ||
        image.config.platform.os == "unknown") {
      return std::nullopt;
    }
    return image;
  }

  store::Store& store_;
  const oci::Reference name_;
  const oci::Platform platform_;
  const CancelToken& cancel_;
  std::vector<plan::ResolvedImage> images_;
};

}  // namespace

std::unique_ptr<ImageSource> StoreSource(
    store::Store& store, Transfer& transfer, const oci::Digest& target,
    std::optional<oci::Reference> reference) {
  return std::make_unique<StoreSourceImpl>(store, transfer, target,
                                           std::move(reference));
}

std::unique_ptr<ImageTarget> StoreTarget(store::Store& store,
                                         const oci::Reference& name,
                                         const oci::Platform& platform,
                                         const CancelToken& cancel) {
  return std::make_unique<StoreTargetImpl>(store, name, platform, cancel);
}

}  // namespace imgbuild::transfer
