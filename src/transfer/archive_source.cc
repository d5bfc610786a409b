// An archive as a place to read from. It is read where it lies: one pass finds
// the files, then each is read at its offset. A compressed archive is
// decompressed into a temporary file first.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/transfer/place.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "transfer/archive_index.h"
#include "transfer/archive_tar.h"
#include "transfer/layout_files.h"
#include "transfer/sniffed.h"

namespace imgbuild::transfer {
namespace {

struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// Part of a file, by its own position: several may read at once.
class ExtentReader : public Reader {
 public:
  ExtentReader(int fd, Extent extent, std::string name)
      : fd_(fd), extent_(extent), name_(std::move(name)) {}
  size_t Read(std::span<std::byte> buffer) override {
    buffer = buffer.first(std::min<uint64_t>(buffer.size(), extent_.size));
    if (buffer.empty()) return 0;
    for (;;) {
      const ssize_t n = ::pread(fd_, buffer.data(), buffer.size(),
                                static_cast<off_t>(extent_.offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw ErrnoError("read", name_, errno);
      if (n == 0) throw Refused(Quoted(name_) + " ends too early");
      extent_.offset += static_cast<uint64_t>(n);
      extent_.size -= static_cast<uint64_t>(n);
      return static_cast<size_t>(n);
    }
  }

 private:
  const int fd_;
  Extent extent_;
  const std::string name_;
};

// The uncompressed archive and where its files lie.
class ArchiveFiles {
 public:
  ArchiveFiles(const std::string& path, const CancelToken& cancel)
      : file_(fs::OpenIfExists(AT_FDCWD, path, O_RDONLY | O_NONBLOCK)) {
    if (!file_ || !S_ISREG(fs::Fstat(file_.get()).st_mode)) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("there is no archive {}", Quoted(path)));
    }
    Uncompress(path, cancel);
    Scan(path, cancel);
  }

  int fd() const { return file_.get(); }
  const Extent* Find(const std::string& path) const {
    const auto found = files_.find(path);
    return found == files_.end() ? nullptr : &found->second;
  }
  // The path of a file for what may be a link's.
  std::string Follow(const std::string& path) const {
    return links_.Follow(path);
  }
  ExtentReader Open(const std::string& path, const Extent& extent) const {
    return {file_.get(), extent, path};
  }
  // nullopt when it is not there.
  std::optional<std::string> ReadText(const std::string& path,
                                      size_t cap) const {
    const Extent* extent = Find(path);
    if (extent == nullptr) return std::nullopt;
    ExtentReader reader = Open(path, *extent);
    return ReadAll(reader, cap, path);
  }

 private:
  void Uncompress(const std::string& path, const CancelToken& cancel) {
    FdReader input(file_.get(), path);
    Sniffed sniffed(input);
    const auto format = layer::SniffCompression(sniffed.head());
    if (format == layer::ArchiveFormat::kPlain) {
      if (::lseek(file_.get(), 0, SEEK_SET) < 0) {
        throw ErrnoError("seek in", path, errno);
      }
      return;
    }
    const fs::TempDir temp = fs::TempDir::InTmp("imgbuild-archive-");
    UniqueFd plain =
        fs::Open(temp.fd(), "tar", O_RDWR | O_CREAT | O_EXCL, 0600);
    FdWriter writer(plain.get(), "the decompressed archive");
    const auto decompressed = layer::DecompressAny(sniffed, format);
    std::vector<std::byte> buffer(256u << 10);
    while (const size_t n = decompressed->Read(buffer)) {
      cancel.Check();
      writer.Write(Bytes(buffer).first(n));
    }
    if (::lseek(plain.get(), 0, SEEK_SET) < 0) {
      throw ErrnoError("seek in", path, errno);
    }
    file_ = std::move(plain);
  }

  void Scan(const std::string& path, const CancelToken& cancel) {
    FdReader input(file_.get(), path);
    layer::TarLimits limits;
    limits.max_entries = kMaxArchiveFiles;
    layer::TarReader tar(input, limits);
    while (const auto entry = tar.Next()) {
      cancel.Check();
      const auto clean = CleanArchivePath(entry->path);
      if (!clean) throw Refused("unsafe name " + Quoted(entry->path));
      if (entry->type == layer::EntryType::kDirectory || clean->empty()) {
        continue;
      }
      if (entry->type == layer::EntryType::kSymlink) {
        links_.Add(*clean, entry->link_target);
        continue;
      }
      const auto offset = tar.DataOffset();
      if (!offset) throw NeitherFileNorDirectory(*clean);
      if (!files_.try_emplace(*clean, *offset, entry->size).second) {
        throw Refused(Quoted(*clean) + " is there twice");
      }
    }
    if (files_.empty()) throw Refused("there is nothing in it");
  }

  UniqueFd file_;
  std::map<std::string, Extent> files_;
  ArchiveLinks links_;
};

// What one name, or the only image, of an archive stands for.
struct Choice {
  std::vector<oci::Reference> names;
  std::string tag;  // when that is all the name there is
  size_t at = 0;    // which entry
  std::string identity;
};

class ArchiveSourceImpl : public ImageSource {
 public:
  ArchiveSourceImpl(const ArchiveName& name, const CancelToken& cancel)
      : name_(name), files_(name.path, cancel), cancel_(cancel) {
    if (const auto index =
            files_.ReadText(kIndexFile, oci::kMaxManifestBytes)) {
      FromLayout(*index);
    } else if (const auto manifest = files_.ReadText(kDockerManifestFile,
                                                     oci::kMaxManifestBytes)) {
      FromDockerManifest(*manifest);
    } else {
      throw Refused("it has neither index.json nor manifest.json");
    }
  }

  std::string name() const override { return name_.path; }
  std::optional<oci::Reference> reference() const override {
    return reference_;
  }
  oci::Document Root() override { return Load(*root_); }
  oci::Document Load(const oci::Digest& digest) override {
    if (made_ && made_->digest == digest) return *made_;
    auto bytes = files_.ReadText(BlobFile(digest), oci::kMaxManifestBytes);
    if (!bytes) {
      throw Refused(
          fmt::format("the manifest {} is missing", digest.ToString()))
          .WithHint(
              "an archive may have an index and one of its images: "
              "--platform takes that");
    }
    if (oci::Digest::OfBytes(*bytes, digest.algorithm()) != digest) {
      throw Refused(BlobFile(digest) + " has another digest");
    }
    oci::Document document = oci::ParseDocument(std::move(*bytes), "");
    document.digest = digest;
    return document;
  }
  std::unique_ptr<registry::BlobSource> Blob(
      const oci::Descriptor& blob) override {
    return std::make_unique<ExtentBlob>(*this, blob);
  }

 private:
  class ExtentBlob : public registry::BlobSource {
   public:
    ExtentBlob(const ArchiveSourceImpl& archive, oci::Descriptor blob)
        : archive_(archive), blob_(std::move(blob)) {}
    uint64_t size() const override { return blob_.size; }
    std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
      Extent extent = archive_.Where(blob_);
      offset = std::min(offset, extent.size);
      extent.offset += offset;
      extent.size -= offset;
      return std::make_unique<ExtentReader>(archive_.files_.fd(), extent,
                                            blob_.digest.ToString());
    }

   private:
    const ArchiveSourceImpl& archive_;
    const oci::Descriptor blob_;
  };

  Extent Where(const oci::Descriptor& blob) const {
    const auto path = paths_.find(blob.digest);
    const Extent* extent = files_.Find(
        path == paths_.end() ? BlobFile(blob.digest) : path->second);
    if (extent == nullptr) {
      throw Refused(
          fmt::format("the blob {} is missing", blob.digest.ToString()));
    }
    if (extent->size != blob.size) {
      throw Refused(fmt::format("the blob {} has {} bytes, not {}",
                                blob.digest.ToString(), extent->size,
                                blob.size));
    }
    return *extent;
  }

  void FromLayout(const std::string& text) {
    const oci::Document document =
        oci::ParseDocument(text, oci::media_type::kOciIndex);
    std::vector<Choice> choices;
    for (size_t i = 0; i < document.index->manifests.size(); ++i) {
      const oci::Descriptor& entry = document.index->manifests[i];
      const auto ref = entry.annotations.find(kRefName);
      choices.push_back({NamesOf(entry),
                         ref == entry.annotations.end() ? "" : ref->second, i,
                         entry.digest.ToString()});
    }
    if (name_.digest) {
      root_ = name_.digest;
      return;
    }
    root_ = document.index->manifests[Choose(choices)].digest;
  }

  void FromDockerManifest(const std::string& text) {
    const std::vector<ListedImage> images = ParseDockerManifest(text);
    std::vector<Choice> choices;
    for (size_t i = 0; i < images.size(); ++i) {
      choices.push_back({images[i].names, "", i, std::to_string(i)});
    }
    if (name_.digest) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("{} knows no digests, only names", Quoted(name_.path)));
    }
    MakeManifest(images[Choose(choices)]);
  }

  // One image, whatever it is called by. Throws Error(kUsage) with what there
  // is.
  size_t Choose(const std::vector<Choice>& choices) {
    std::set<std::string> identities;
    const Choice* chosen = nullptr;
    for (const Choice& choice : choices) {
      if (!IsWanted(choice)) continue;
      identities.insert(choice.identity);
      if (chosen == nullptr) chosen = &choice;
    }
    if (identities.size() != 1) {
      const bool none = identities.empty();
      throw Error(ErrorCode::kUsage,
                  none ? fmt::format("the archive {} has no image {}",
                                     Quoted(name_.path), Quoted(name_.name))
                       : fmt::format("the archive {} has {} images{}",
                                     Quoted(name_.path), identities.size(),
                                     name_.name.empty() ? "" : " of this name"))
          .WithHint(Listing(choices));
    }
    const auto reference = name_.name.empty()
                               ? std::nullopt
                               : oci::Reference::TryParse(name_.name);
    if (!chosen->names.empty()) reference_ = chosen->names.front();
    // Of several names the one that was asked for.
    for (const oci::Reference& name : chosen->names) {
      if (reference && name == reference->WithDefaultTag()) reference_ = name;
    }
    return chosen->at;
  }

  bool IsWanted(const Choice& choice) const {
    if (name_.name.empty()) return true;
    if (!choice.tag.empty() && choice.tag == name_.name) return true;
    const auto wanted = oci::Reference::TryParse(name_.name);
    return std::ranges::any_of(choice.names, [&](const oci::Reference& name) {
      return (wanted && name == wanted->WithDefaultTag()) ||
             name.tag() == name_.name;
    });
  }

  static std::string Listing(const std::vector<Choice>& choices) {
    std::vector<std::string> names;
    for (const Choice& choice : choices) {
      for (const oci::Reference& name : choice.names) {
        names.push_back(name.Familiar());
      }
      if (choice.names.empty()) {
        names.push_back(choice.tag.empty() ? "@" + choice.identity
                                           : choice.tag);
      }
    }
    std::ranges::sort(names);
    const auto same = std::ranges::unique(names);
    names.erase(same.begin(), same.end());
    return names.empty()
               ? "it is empty"
               : "it has: " + Join(names, ", ") + "; choose with FILE:NAME";
  }

  // manifest.json has paths; the digests are those of the files.
  void MakeManifest(const ListedImage& listed) {
    std::vector<oci::Descriptor> layers;
    for (const std::string& path : listed.layers) {
      const ArchivePart part = Measure(path);
      oci::Descriptor layer{"", part.digest, part.size, {}, {}, {}, {}};
      ExtentReader reader(files_.fd(), Where(layer), path);
      layer.media_type = LayerTypeOf(Sniffed(reader).head());
      layers.push_back(std::move(layer));
    }
    std::string bytes =
        oci::Serialize(ManifestOf(Measure(listed.config), std::move(layers)));
    made_ = oci::ParseDocument(std::move(bytes), oci::media_type::kOciManifest);
    root_ = made_->digest;
  }

  ArchivePart Measure(const std::string& name) {
    auto path = CleanArchivePath(name);
    if (path) path = files_.Follow(*path);
    const Extent* extent = path ? files_.Find(*path) : nullptr;
    if (extent == nullptr) {
      throw Refused(Quoted(name) + " of manifest.json is missing");
    }
    ExtentReader reader = files_.Open(*path, *extent);
    oci::Hasher hasher(oci::DigestAlgorithm::kSha256);
    std::vector<std::byte> buffer(256u << 10);
    while (const size_t n = reader.Read(buffer)) {
      cancel_.Check();
      hasher.Write(Bytes(buffer).first(n));
    }
    const oci::Digest digest = hasher.Finish();
    paths_[digest] = *path;
    return {digest, extent->size};
  }

  const ArchiveName name_;
  const ArchiveFiles files_;
  const CancelToken& cancel_;
  std::optional<oci::Digest> root_;
  std::optional<oci::Reference> reference_;
  // Without index.json: the manifest, and where blobs lie.
  std::optional<oci::Document> made_;
  std::map<oci::Digest, std::string> paths_;
};

}  // namespace

std::unique_ptr<ImageSource> ArchiveSource(const ArchiveName& name,
                                           const CancelToken& cancel) {
  return std::make_unique<ArchiveSourceImpl>(name, cancel);
}

}  // namespace imgbuild::transfer
