// An OCI layout (image-spec image-layout.md) as a place.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>

#include "imgbuild/transfer/place.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include <nlohmann/json.hpp>

#include "transfer/file_blob.h"
#include "transfer/layout_files.h"

namespace imgbuild::transfer {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxLayoutFile = 4096;

void CheckLayoutFile(int directory, const std::string& name) {
  const auto text =
      fs::ReadFileIfExists(directory, kLayoutFile, kMaxLayoutFile);
  if (!text) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} is not an OCI layout: it has no {}",
                            Quoted(name), kLayoutFile));
  }
  const Json json = Json::parse(*text, nullptr, false);
  if (!json.is_object() || json.value("imageLayoutVersion", "") != "1.0.0") {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{}: an OCI layout of an unknown version", Quoted(name)));
  }
}

std::string TagOf(const oci::Descriptor& entry) {
  const auto tag = entry.annotations.find(kRefName);
  return tag == entry.annotations.end() ? "" : tag->second;
}

// The entry of index.json that `which` means.
const oci::Descriptor& FindEntry(const oci::Index& index,
                                 const std::string& which,
                                 const std::string& name) {
  std::vector<const oci::Descriptor*> found;
  std::vector<std::string> tags;
  for (const oci::Descriptor& entry : index.manifests) {
    const std::string tag = TagOf(entry);
    if (!tag.empty()) tags.push_back(tag);
    if (which.empty() || tag == which ||
        "@" + entry.digest.ToString() == which) {
      found.push_back(&entry);
    }
  }
  const auto same = [&](const oci::Descriptor* entry) {
    return entry->digest == found[0]->digest;
  };
  if (!found.empty() && std::ranges::all_of(found, same)) return *found[0];
  const std::string has =
      tags.empty() ? "no tags" : "the tags " + Join(tags, ", ");
  throw Error(ErrorCode::kUsage,
              found.empty()
                  ? fmt::format("{} has no image {}", Quoted(name), which)
                  : fmt::format("{} has several images{}", Quoted(name),
                                which.empty() ? "" : " called " + which))
      .WithHint(fmt::format("oci:DIR:TAG and oci:DIR:@DIGEST name one; it has "
                            "{}",
                            has));
}

class LayoutSourceImpl : public ImageSource {
 public:
  LayoutSourceImpl(std::string directory, std::string which)
      : path_(std::move(directory)),
        which_(std::move(which)),
        directory_(fs::OpenDir(AT_FDCWD, path_)) {
    CheckLayoutFile(directory_.get(), path_);
  }

  std::string name() const override {
    return "oci:" + path_ + (which_.empty() ? "" : ":" + which_);
  }
  std::optional<oci::Reference> reference() const override {
    return std::nullopt;
  }
  oci::Document Root() override {
    const oci::Document index = oci::ParseDocument(
        fs::ReadFile(directory_.get(), kIndexFile, oci::kMaxManifestBytes),
        oci::media_type::kOciIndex);
    const oci::Digest digest = FindEntry(*index.index, which_, path_).digest;
    return Load(digest);
  }
  oci::Document Load(const oci::Digest& digest) override {
    const auto bytes = fs::ReadFileIfExists(directory_.get(), BlobFile(digest),
                                            oci::kMaxManifestBytes);
    if (!bytes) throw Missing("manifest", digest);
    if (oci::Digest::OfBytes(*bytes, digest.algorithm()) != digest) {
      throw Error(ErrorCode::kRegistry,
                  fmt::format("{}: the content of {} has another digest", path_,
                              digest.ToString()));
    }
    oci::Document document = oci::ParseDocument(*bytes, "");
    document.digest = digest;
    return document;
  }
  std::unique_ptr<registry::BlobSource> Blob(
      const oci::Descriptor& blob) override {
    return std::make_unique<FileBlob>(*this, blob);
  }

 private:
  class FileBlob : public registry::BlobSource {
   public:
    FileBlob(const LayoutSourceImpl& layout, oci::Descriptor blob)
        : layout_(layout), blob_(std::move(blob)) {}
    uint64_t size() const override { return blob_.size; }
    std::unique_ptr<Reader> ReadFrom(uint64_t offset) override {
      UniqueFd file =
          fs::OpenIfExists(layout_.directory_.get(), BlobFile(blob_.digest),
                           O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      if (!file) throw layout_.Missing("blob", blob_.digest);
      const auto info = fs::Fstat(file.get());
      if (!S_ISREG(info.st_mode) ||
          static_cast<uint64_t>(info.st_size) != blob_.size) {
        throw Error(ErrorCode::kRegistry,
                    fmt::format("{}: blob {} has {} bytes, its descriptor says "
                                "{}",
                                layout_.path_, blob_.digest.ToString(),
                                info.st_size, blob_.size));
      }
      return std::make_unique<FileReader>(std::move(file), offset,
                                          blob_.digest.ToString());
    }

   private:
    const LayoutSourceImpl& layout_;
    const oci::Descriptor blob_;
  };

  Error Missing(const char* what, const oci::Digest& digest) const {
    return Error(ErrorCode::kRegistry, fmt::format("{} has no {} {}", path_,
                                                   what, digest.ToString()));
  }

  const std::string path_;
  const std::string which_;
  const UniqueFd directory_;
};

class LayoutTargetImpl : public ImageTarget {
 public:
  LayoutTargetImpl(std::string directory, std::string tag,
                   const CancelToken& cancel)
      : path_(std::move(directory)), tag_(std::move(tag)), cancel_(cancel) {
    fs::MakeDirs(AT_FDCWD, path_, 0755);
    directory_ = fs::OpenDir(AT_FDCWD, path_);
    if (!fs::LstatIfExists(directory_.get(), kLayoutFile)) {
      if (!fs::ListDir(directory_.get()).empty()) {
        throw Error(ErrorCode::kUsage,
                    fmt::format("{} is not an OCI layout, and not empty",
                                Quoted(path_)));
      }
      fs::WriteFileAtomic(directory_.get(), kLayoutFile, kLayoutText);
    }
    CheckLayoutFile(directory_.get(), path_);
  }

  bool Has(const oci::Document&) override { return false; }

  registry::PushOutcome PutBlob(const oci::Descriptor& blob,
                                registry::BlobSource& bytes,
                                const std::vector<oci::Repository>&) override {
    if (Exists(blob.digest, blob.size)) return registry::PushOutcome::kExists;
    Write(blob.digest, blob.size, *bytes.ReadFrom(0));
    return registry::PushOutcome::kUploaded;
  }
  void PutDocument(const oci::Document& document) override {
    if (Exists(document.digest, document.bytes.size())) return;
    StringReader reader(document.bytes);
    Write(document.digest, document.bytes.size(), reader);
  }
  // index.json keeps what this program does not know.
  void Name(const oci::Document& root) override {
    PutDocument(root);
    const fs::FileLock lock(directory_.get(), kLayoutFile,
                            fs::FileLock::Mode::kExclusive);
    const oci::Index fresh{
        std::string(oci::media_type::kOciIndex), {LayoutEntry(root, tag_)}, {}};
    Json index = Json::parse(oci::Serialize(fresh));
    const Json entry_of_root = index["manifests"][0];
    index["manifests"].clear();
    if (const auto text = fs::ReadFileIfExists(directory_.get(), kIndexFile,
                                               oci::kMaxManifestBytes)) {
      oci::ParseDocument(*text, oci::media_type::kOciIndex);
      index = Json::parse(*text);
    }
    Json kept = Json::array();
    for (const Json& entry : index["manifests"]) {
      const std::string tag =
          entry.value("annotations", Json::object()).value(kRefName, "");
      const bool same_image =
          entry.value("digest", "") == root.digest.ToString();
      // A tag has one image; an image without a tag stands there once.
      if (tag_.empty() ? same_image && tag.empty() : tag == tag_) continue;
      kept.push_back(entry);
    }
    kept.push_back(entry_of_root);
    index["manifests"] = std::move(kept);
    fs::WriteFileAtomic(directory_.get(), kIndexFile, index.dump());
  }

 private:
  bool Exists(const oci::Digest& digest, uint64_t size) const {
    const auto info = fs::LstatIfExists(directory_.get(), BlobFile(digest));
    return info && S_ISREG(info->st_mode) &&
           static_cast<uint64_t>(info->st_size) == size;
  }
  // Nothing has a digest's name before all of it was right.
  void Write(const oci::Digest& digest, uint64_t size, Reader& from) {
    const std::string file = BlobFile(digest);
    const std::string directory = file.substr(0, file.rfind('/'));
    fs::MakeDirs(directory_.get(), directory, 0755);
    fs::TempDir temp(directory_.get(), ".copy-");
    {
      const UniqueFd fd =
          fs::Open(temp.fd(), "blob", O_WRONLY | O_CREAT | O_EXCL, 0644);
      FdWriter writer(fd.get(), digest.ToString());
      oci::VerifyingWriter verify(writer, digest, size, "blob");
      CopyAll(from, verify);
      cancel_.Check();
      verify.Finish();
    }
    fs::Rename(temp.fd(), "blob", directory_.get(), file);
  }

  const std::string path_;
  const std::string tag_;
  const CancelToken& cancel_;
  UniqueFd directory_;
};

}  // namespace

std::string BlobFile(const oci::Digest& digest) {
  return fmt::format("blobs/{}/{}", oci::ToString(digest.algorithm()),
                     digest.hex());
}

oci::Descriptor LayoutEntry(const oci::Document& root, const std::string& tag) {
  oci::Descriptor entry{
      root.media_type, root.digest, root.bytes.size(), {}, {}, {}, {}};
  if (!tag.empty()) entry.annotations[kRefName] = tag;
  return entry;
}

std::unique_ptr<ImageSource> LayoutSource(const std::string& directory,
                                          const std::string& which) {
  return std::make_unique<LayoutSourceImpl>(directory, which);
}

std::unique_ptr<ImageTarget> LayoutTarget(const std::string& directory,
                                          const std::string& tag,
                                          const CancelToken& cancel) {
  return std::make_unique<LayoutTargetImpl>(directory, tag, cancel);
}

}  // namespace imgbuild::transfer
