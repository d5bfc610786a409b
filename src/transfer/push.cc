#include "imgbuild/transfer/push.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <mutex>

#include "imgbuild/util/error.h"
#include "imgbuild/util/for_each.h"

namespace imgbuild::transfer {
namespace {

class StoredReader : public Reader {
 public:
  StoredReader(UniqueFd file, std::string name)
      : file_(std::move(file)), reader_(file_.get(), std::move(name)) {}
  size_t Read(std::span<std::byte> buffer) override {
    return reader_.Read(buffer);
  }

 private:
  UniqueFd file_;
  FdReader reader_;
};

// Opened when the registry really wants the bytes.
class StoredBlob : public registry::BlobSource {
 public:
  StoredBlob(store::Store& store, Transfer& transfer,
             const oci::Descriptor& blob)
      : store_(store), transfer_(transfer), blob_(blob) {}
  uint64_t size() const override { return blob_.size; }
  std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
    if (!store_.content().Has(blob_.digest)) {
      // The DiffId does not matter to fetching.
      transfer_.EnsureBlobs({{oci::DiffId(blob_.digest), blob_}});
    }
    auto file = store_.content().Open(blob_.digest);
    if (!file ||
        ::lseek(file->get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
      throw Error(ErrorCode::kHost, fmt::format("blob {} is not in the store",
                                                blob_.digest.ToString()));
    }
    return std::make_unique<StoredReader>(std::move(*file),
                                          blob_.digest.ToString());
  }

 private:
  store::Store& store_;
  Transfer& transfer_;
  const oci::Descriptor& blob_;
};

class Pusher {
 public:
  Pusher(store::Store& store, registry::Client& client, Transfer& transfer,
         const oci::Repository& repository, const PushOptions& options,
         const CancelToken& cancel)
      : store_(store),
        client_(client),
        transfer_(transfer),
        repository_(repository),
        options_(options),
        cancel_(cancel) {}

  oci::Document Load(const oci::Digest& digest) const {
    auto bytes = store_.content().Read(digest, oci::kMaxManifestBytes);
    if (bytes) return oci::ParseDocument(std::move(*bytes), "");
    throw Error(ErrorCode::kHost, fmt::format("manifest {} is not in the store",
                                              digest.ToString()))
        .WithHint("an index can be pushed when all its platforms were pulled");
  }

  // Everything below the document; the document itself is the caller's.
  void SendContents(const oci::Document& document) {
    if (document.index) {
      for (const oci::Descriptor& child : document.index->manifests) {
        const oci::Document manifest = Load(child.digest);
        SendContents(manifest);
        client_.PushDocument(
            oci::Reference(repository_, std::nullopt, child.digest), manifest,
            cancel_);
      }
      return;
    }
    std::vector<oci::Descriptor> blobs;
    for (const oci::Descriptor& layer : document.manifest->layers) {
      // Foreign layers are fetched from elsewhere by whoever pulls.
      if (!oci::IsForeignLayer(layer.media_type)) blobs.push_back(layer);
    }
    blobs.push_back(document.manifest->config);
    ForEach(blobs, options_.parallel_layers,
            [this](const oci::Descriptor& blob) { SendBlob(blob); });
  }

 private:
  void SendBlob(const oci::Descriptor& blob) {
    cancel_.Check();
    std::vector<oci::Repository> seen;
    for (const store::BlobOrigin& origin : store_.Origins(blob.digest)) {
      if (origin.repository.domain() == repository_.domain() &&
          origin.repository != repository_) {
        seen.push_back(origin.repository);
      }
    }
    StoredBlob source(store_, transfer_, blob);
    const registry::PushOutcome outcome =
        client_.PushBlob(repository_, blob, source, seen, {}, cancel_);
    store_.AddOrigin(blob.digest, repository_);
    if (options_.on_blob) {
      const std::scoped_lock lock(callback_mutex_);
      options_.on_blob(blob, outcome);
    }
  }

  store::Store& store_;
  registry::Client& client_;
  Transfer& transfer_;
  const oci::Repository& repository_;
  const PushOptions& options_;
  const CancelToken& cancel_;
  std::mutex callback_mutex_;
};

}  // namespace

PushResult Push(store::Store& store, registry::Client& client,
                Transfer& transfer, const oci::Digest& target,
                const oci::Reference& destination, const PushOptions& options,
                const CancelToken& cancel) {
  Pusher pusher(store, client, transfer, destination.repository(), options,
                cancel);
  const oci::Document document = pusher.Load(target);
  pusher.SendContents(document);
  const oci::Reference name =
      destination.tag()
          ? destination.WithoutDigest()
          : oci::Reference(destination.repository(), std::nullopt, target);
  client.PushDocument(name, document, cancel);
  return {document.digest, document.bytes.size()};
}

}  // namespace imgbuild::transfer
