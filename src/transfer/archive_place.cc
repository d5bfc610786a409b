// An archive as a place to write to: a tar that holds an OCI layout and, for
// `docker load`, Docker's manifest.json, as Docker's own `save` makes it.
#include <fcntl.h>

#include "imgbuild/transfer/place.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "transfer/archive_tar.h"
#include "transfer/layout_files.h"

namespace imgbuild::transfer {
namespace {

std::string DirectoryOf(const std::string& file) {
  const size_t slash = file.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : file.substr(0, slash);
}

class ArchiveTargetImpl : public ImageTarget {
 public:
  ArchiveTargetImpl(std::string file, ArchiveKind kind,
                    std::optional<oci::Reference> name, ThreadPool& pool,
                    const CancelToken& cancel)
      : file_(std::move(file)),
        kind_(kind),
        name_(std::move(name)),
        cancel_(cancel),
        directory_(fs::OpenDir(AT_FDCWD, DirectoryOf(file_))),
        temp_(directory_.get(), ".imgbuild-copy-"),
        fd_(fs::Open(temp_.fd(), "archive", O_WRONLY | O_CREAT | O_EXCL, 0644)),
        out_(fd_.get(), file_),
        tar_(out_, pool, 0) {}

  bool in_order() const override { return true; }
  bool Has(const oci::Document&) override { return false; }

  registry::PushOutcome PutBlob(const oci::Descriptor& blob,
                                registry::BlobSource& bytes,
                                const std::vector<oci::Repository>&) override {
    cancel_.Check();
    const auto reader = bytes.ReadFrom(0);
    Verified verified(*reader, blob);
    tar_.AddFile(BlobFile(blob.digest), blob.size, verified);
    verified.Finish();
    return registry::PushOutcome::kUploaded;
  }
  void PutDocument(const oci::Document& document) override {
    tar_.AddText(BlobFile(document.digest), document.bytes);
  }
  void Name(const oci::Document& root) override {
    if (kind_ == ArchiveKind::kDocker && root.index) {
      throw Error(ErrorCode::kUsage,
                  "a docker archive has one image, not an index")
          .WithHint("choose it with --platform, or use oci-archive:FILE");
    }
    const oci::Index index{
        std::string(oci::media_type::kOciIndex), {NamedEntry(root, name_)}, {}};
    tar_.AddText(kIndexFile, oci::Serialize(index));
    if (kind_ == ArchiveKind::kDocker) {
      std::vector<oci::Reference> names;
      if (name_) names.push_back(*name_);
      tar_.AddText(kDockerManifestFile,
                   DockerManifest({{root.manifest->config.digest, names,
                                    root.manifest->layers}}));
    }
    tar_.AddText(kLayoutFile, kLayoutText);
    tar_.Finish();
    fs::Rename(temp_.fd(), "archive", directory_.get(),
               file_.substr(file_.rfind('/') + 1));
  }

 private:
  // What is read must be the blob, and a wrong byte must not be found when the
  // archive is whole.
  class Verified : public Reader {
   public:
    Verified(Reader& from, const oci::Descriptor& blob)
        : from_(from), verify_(nowhere_, blob.digest, blob.size, "blob") {}
    size_t Read(std::span<std::byte> buffer) override {
      const size_t n = from_.Read(buffer);
      verify_.Write(buffer.first(n));
      return n;
    }
    void Finish() { verify_.Finish(); }

   private:
    class Nowhere : public Writer {
      void Write(Bytes) override {}
    };
    Reader& from_;
    Nowhere nowhere_;
    oci::VerifyingWriter verify_;
  };

  const std::string file_;
  const ArchiveKind kind_;
  const std::optional<oci::Reference> name_;
  const CancelToken& cancel_;
  UniqueFd directory_;
  fs::TempDir temp_;
  UniqueFd fd_;
  FdWriter out_;
  ArchiveTar tar_;
};

}  // namespace

std::unique_ptr<ImageTarget> ArchiveTarget(const std::string& file,
                                           ArchiveKind kind,
                                           std::optional<oci::Reference> name,
                                           ThreadPool& pool,
                                           const CancelToken& cancel) {
  return std::make_unique<ArchiveTargetImpl>(file, kind, std::move(name), pool,
                                             cancel);
}

}  // namespace imgbuild::transfer
