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

// A regular file, behind links or not.
UniqueFd OpenFile(int directory, const std::string& path) {
  UniqueFd fd = fs::OpenIfExists(directory, path, O_RDONLY | O_NONBLOCK);
  if (fd && !S_ISREG(fs::Fstat(fd.get()).st_mode)) fd.reset();
  return fd;
}

void CheckLayoutFile(const UniqueFd& directory, const std::string& path) {
  UniqueFd fd;
  if (directory) fd = OpenFile(directory.get(), kLayoutFile);
  if (!fd) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} is no OCI layout", Quoted(path)))
        .WithHint(
            "a layout is a directory with oci-layout, index.json and blobs/");
  }
  const Json json = Json::parse(
      fs::ReadFd(fd.get(), kMaxLayoutFile, path + "/" + kLayoutFile), nullptr,
      false);
  if (!json.is_object() || json.value("imageLayoutVersion", "") != "1.0.0") {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("{} is an OCI layout of an unknown version", Quoted(path)));
  }
}

// Whether an entry of index.json is called `tag`: as its whole name, or as the
// tag of it.
bool IsCalled(const oci::Descriptor& entry, const std::string& tag) {
  for (const char* key : {kRefName, kImageName}) {
    const auto name = entry.annotations.find(key);
    if (name == entry.annotations.end()) continue;
    if (name->second == tag) return true;
    const auto reference = oci::Reference::TryParse(name->second);
    if (reference && reference->tag() == tag) return true;
  }
  return false;
}

// What index.json has, for a hint.
std::string NamesIn(const oci::Index& index) {
  std::vector<std::string> names;
  for (const oci::Descriptor& entry : index.manifests) {
    const auto tag = entry.annotations.find(kRefName);
    names.push_back(tag == entry.annotations.end()
                        ? "@" + entry.digest.ToString()
                        : ":" + tag->second);
  }
  return names.empty() ? "it is empty" : "it has: " + Join(names, ", ");
}

oci::Digest FindTarget(const LayoutName& name, const oci::Index& index) {
  if (name.digest) return *name.digest;
  const std::string tag = name.tag.value_or("latest");
  for (const oci::Descriptor& entry : index.manifests) {
    if (IsCalled(entry, tag)) return entry.digest;
  }
  const auto is_first = [&](const oci::Descriptor& entry) {
    return entry.digest == index.manifests[0].digest;
  };
  if (!name.tag && !index.manifests.empty() &&
      std::ranges::all_of(index.manifests, is_first)) {
    return index.manifests[0].digest;
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("the OCI layout {} has no image {}",
                          Quoted(name.path), Quoted(tag)))
      .WithHint(NamesIn(index));
}

class LayoutSourceImpl : public ImageSource {
 public:
  explicit LayoutSourceImpl(LayoutName name)
      : name_(std::move(name)),
        directory_(
            fs::OpenIfExists(AT_FDCWD, name_.path, O_RDONLY | O_DIRECTORY)) {
    CheckLayoutFile(directory_, name_.path);
  }

  std::string name() const override {
    return "oci:" + name_.path + (name_.tag ? ":" + *name_.tag : "");
  }
  std::optional<oci::Reference> reference() const override {
    return std::nullopt;
  }
  oci::Document Root() override {
    const UniqueFd fd = OpenFile(directory_.get(), kIndexFile);
    if (!fd) throw Damaged(fmt::format("it has no {}", kIndexFile));
    const oci::Document index =
        oci::ParseDocument(fs::ReadFd(fd.get(), oci::kMaxManifestBytes,
                                      name_.path + "/" + kIndexFile),
                           oci::media_type::kOciIndex);
    return Load(FindTarget(name_, *index.index));
  }
  oci::Document Load(const oci::Digest& digest) override {
    const UniqueFd fd = OpenBlob(digest);
    std::string bytes =
        fs::ReadFd(fd.get(), oci::kMaxManifestBytes, digest.ToString());
    const auto actual = oci::Digest::OfBytes(bytes, digest.algorithm());
    if (actual != digest) {
      throw Damaged(fmt::format("the content of {} has the digest {}",
                                digest.ToString(), actual.ToString()));
    }
    oci::Document document = oci::ParseDocument(std::move(bytes), "");
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
      UniqueFd file = layout_.OpenBlob(blob_.digest);
      const auto size = static_cast<uint64_t>(fs::Fstat(file.get()).st_size);
      if (size != blob_.size) {
        throw layout_.Damaged(
            fmt::format("{} has {} bytes, its descriptor says {}",
                        blob_.digest.ToString(), size, blob_.size));
      }
      return std::make_unique<FileReader>(std::move(file), offset,
                                          blob_.digest.ToString());
    }

   private:
    const LayoutSourceImpl& layout_;
    const oci::Descriptor blob_;
  };

  UniqueFd OpenBlob(const oci::Digest& digest) const {
    UniqueFd fd = OpenFile(directory_.get(), BlobFile(digest));
    if (!fd) throw Damaged(fmt::format("it lacks {}", digest.ToString()));
    return fd;
  }
  Error Damaged(std::string_view why) const {
    return Error(ErrorCode::kRegistry,
                 fmt::format("the OCI layout {} is damaged: {}",
                             Quoted(name_.path), why));
  }

  const LayoutName name_;
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
        throw Error(
            ErrorCode::kUsage,
            fmt::format("{} is no OCI layout, and not empty", Quoted(path_)));
      }
      fs::WriteFileAtomic(directory_.get(), kLayoutFile, kLayoutText);
    }
    CheckLayoutFile(directory_, path_);
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

std::unique_ptr<ImageSource> LayoutSource(const LayoutName& name) {
  return std::make_unique<LayoutSourceImpl>(name);
}

std::unique_ptr<ImageTarget> LayoutTarget(const std::string& directory,
                                          const std::string& tag,
                                          const CancelToken& cancel) {
  return std::make_unique<LayoutTargetImpl>(directory, tag, cancel);
}

}  // namespace imgbuild::transfer
