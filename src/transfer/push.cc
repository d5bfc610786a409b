#include "imgbuild/transfer/push.h"

#include "imgbuild/transfer/copy.h"

namespace imgbuild::transfer {
namespace {

// Remembers where blobs are now: from there they can be mounted or fetched.
class RememberingTarget : public ImageTarget {
 public:
  RememberingTarget(std::unique_ptr<ImageTarget> target, store::Store& store,
                    const oci::Repository& repository)
      : target_(std::move(target)), store_(store), repository_(repository) {}
  bool Has(const oci::Document& document) override {
    return target_->Has(document);
  }
  registry::PushOutcome PutBlob(
      const oci::Descriptor& blob, registry::BlobSource& bytes,
      const std::vector<oci::Repository>& holders) override {
    const registry::PushOutcome outcome =
        target_->PutBlob(blob, bytes, holders);
    store_.AddOrigin(blob.digest, repository_);
    return outcome;
  }
  void PutDocument(const oci::Document& document) override {
    target_->PutDocument(document);
  }
  void Name(const oci::Document& root) override { target_->Name(root); }

 private:
  const std::unique_ptr<ImageTarget> target_;
  store::Store& store_;
  const oci::Repository& repository_;
};

}  // namespace

CopyResult Push(store::Store& store, registry::Client& client,
                Transfer& transfer, const oci::Digest& target,
                const oci::Reference& destination, const CopyOptions& options,
                const CancelToken& cancel) {
  const auto source = StoreSource(store, transfer, target, std::nullopt);
  RememberingTarget to(RegistryTarget(client, destination.repository(),
                                      destination.tag(), cancel),
                       store, destination.repository());
  CopyOptions all = options;
  all.every_blob = true;
  return Copy(*source, to, all, cancel);
}

}  // namespace imgbuild::transfer
