// A repository of a registry as a place.
#include <thread>

#include "imgbuild/transfer/place.h"

#include "transfer/stream_error.h"

namespace imgbuild::transfer {
namespace {

constexpr size_t kPipeBytes = 1u << 20;

// Passes what comes in to a reader in another thread.
class PipeSink : public registry::BlobSink {
 public:
  PipeSink(BoundedPipe& pipe, uint64_t offset) : pipe_(pipe), offset_(offset) {}
  uint64_t Resume() override { return offset_; }
  // A part of a blob has no digest of its own; whoever keeps the whole checks.
  bool ChecksDigest() const override { return offset_ > 0; }
  void Write(Bytes bytes) override {
    written_ = true;
    pipe_.Write(bytes);
  }
  void Restart() override {
    // What the reader took cannot be taken back.
    if (written_ || offset_ > 0) throw StreamBeganAgain();
  }

 private:
  BoundedPipe& pipe_;
  const uint64_t offset_;
  bool written_ = false;
};

// One download, read while it comes in. Needs nothing of the blob it comes
// from.
class Stream : public Reader {
 public:
  Stream(registry::Client& client, const oci::Repository& repository,
         const oci::Descriptor& blob, uint64_t offset,
         const CancelToken& cancel)
      : pipe_(kPipeBytes),
        thread_([this, &client, repository, blob, offset, &cancel] {
          try {
            PipeSink sink(pipe_, offset);
            client.FetchBlob(repository, blob, sink, cancel);
            pipe_.CloseWrite();
          } catch (...) {
            pipe_.CloseWrite(std::current_exception());
          }
        }) {}
  ~Stream() override {
    pipe_.CloseRead();
    thread_.join();
  }
  size_t Read(std::span<std::byte> buffer) override {
    return pipe_.Read(buffer);
  }

 private:
  BoundedPipe pipe_;
  std::thread thread_;  // last: it uses the pipe
};

class RemoteBlob : public registry::BlobSource {
 public:
  RemoteBlob(registry::Client& client, const oci::Repository& repository,
             oci::Descriptor blob, const CancelToken& cancel)
      : client_(client),
        repository_(repository),
        blob_(std::move(blob)),
        cancel_(cancel) {}
  uint64_t size() const override { return blob_.size; }
  std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
    return std::make_unique<Stream>(client_, repository_, blob_, offset,
                                    cancel_);
  }

 private:
  registry::Client& client_;
  const oci::Repository repository_;
  const oci::Descriptor blob_;
  const CancelToken& cancel_;
};

class RegistrySourceImpl : public ImageSource {
 public:
  RegistrySourceImpl(registry::Client& client, const oci::Reference& reference,
                     const CancelToken& cancel)
      : client_(client),
        reference_(reference.WithDefaultTag()),
        cancel_(cancel) {}

  std::string name() const override { return reference_.Familiar(); }
  std::optional<oci::Reference> reference() const override {
    return reference_;
  }
  oci::Document Root() override {
    return client_.FetchDocument(reference_, cancel_);
  }
  oci::Document Load(const oci::Digest& digest) override {
    return client_.FetchDocument(
        oci::Reference(reference_.repository(), std::nullopt, digest), cancel_);
  }
  std::unique_ptr<registry::BlobSource> Blob(
      const oci::Descriptor& blob) override {
    return std::make_unique<RemoteBlob>(client_, reference_.repository(), blob,
                                        cancel_);
  }
  std::vector<oci::Repository> Holders(const oci::Digest&) override {
    return {reference_.repository()};
  }
  std::vector<oci::Descriptor> Referrers(const oci::Digest& subject) override {
    return client_.ListReferrers(reference_.repository(), subject, "", cancel_);
  }

 private:
  registry::Client& client_;
  const oci::Reference reference_;
  const CancelToken& cancel_;
};

class RegistryTargetImpl : public ImageTarget {
 public:
  RegistryTargetImpl(registry::Client& client,
                     const oci::Repository& repository,
                     std::optional<std::string> tag, const CancelToken& cancel)
      : client_(client),
        repository_(repository),
        tag_(std::move(tag)),
        cancel_(cancel) {}

  bool Has(const oci::Document& document) override {
    return client_.DocumentExists(ByDigest(document.digest), cancel_);
  }
  registry::PushOutcome PutBlob(
      const oci::Descriptor& blob, registry::BlobSource& bytes,
      const std::vector<oci::Repository>& holders) override {
    return client_.PushBlob(repository_, blob, bytes, holders, {}, cancel_);
  }
  void PutDocument(const oci::Document& document) override {
    client_.PushDocument(ByDigest(document.digest), document, cancel_);
    if (document.manifest && document.manifest->subject) {
      client_.LinkReferrer(repository_, document, cancel_);
    }
  }
  void Name(const oci::Document& root) override {
    if (!tag_)
      return client_.PushDocument(ByDigest(root.digest), root, cancel_);
    client_.PushDocument(oci::Reference(repository_, tag_, std::nullopt), root,
                         cancel_);
  }

 private:
  oci::Reference ByDigest(const oci::Digest& digest) const {
    return oci::Reference(repository_, std::nullopt, digest);
  }

  registry::Client& client_;
  const oci::Repository repository_;
  const std::optional<std::string> tag_;
  const CancelToken& cancel_;
};

}  // namespace

std::unique_ptr<ImageSource> RegistrySource(registry::Client& client,
                                            const oci::Reference& reference,
                                            const CancelToken& cancel) {
  return std::make_unique<RegistrySourceImpl>(client, reference, cancel);
}

std::unique_ptr<ImageTarget> RegistryTarget(registry::Client& client,
                                            const oci::Repository& repository,
                                            std::optional<std::string> tag,
                                            const CancelToken& cancel) {
  return std::make_unique<RegistryTargetImpl>(client, repository,
                                              std::move(tag), cancel);
}

}  // namespace imgbuild::transfer
