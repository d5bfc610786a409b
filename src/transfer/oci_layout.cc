#include "imgbuild/transfer/oci_layout.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/reference.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::transfer {
namespace {

constexpr char kRefName[] = "org.opencontainers.image.ref.name";
constexpr char kContainerdName[] = "io.containerd.image.name";
constexpr size_t kCopyBytes = size_t{1} << 18;

// Index within index within index: more than anybody makes.
constexpr int kMaxDepth = 4;

// Links are followed: build tools make layouts of links, and what is read is
// compared with its digest.
UniqueFd OpenFile(int dir_fd, const std::string& path) {
  UniqueFd fd = fs::OpenIfExists(dir_fd, path, O_RDONLY | O_NONBLOCK);
  if (fd && !S_ISREG(fs::Fstat(fd.get()).st_mode)) fd.reset();
  return fd;
}

class LayoutReader {
 public:
  LayoutReader(store::Store& store, std::string path, const CancelToken& cancel)
      : store_(store),
        path_(std::move(path)),
        cancel_(cancel),
        dir_(fs::OpenIfExists(AT_FDCWD, path_, O_RDONLY | O_DIRECTORY)) {
    if (!dir_ || !OpenFile(dir_.get(), "oci-layout")) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{} is no OCI layout", Quoted(path_)))
          .WithHint(
              "a layout is a directory with oci-layout, index.json and blobs/");
    }
  }

  oci::Index ReadIndex() const {
    const UniqueFd fd = OpenFile(dir_.get(), "index.json");
    if (!fd) throw Damaged("it has no index.json");
    oci::Document document = oci::ParseDocument(
        fs::ReadFd(fd.get(), oci::kMaxManifestBytes, path_ + "/index.json"),
        oci::media_type::kOciIndex);
    return std::move(*document.index);
  }

  // A manifest, index or config: kept in the store.
  std::string ReadSmall(const oci::Digest& digest, size_t cap) const {
    if (auto known = store_.content().Read(digest, cap)) return *known;
    const UniqueFd fd = OpenBlob(digest);
    std::string bytes = fs::ReadFd(fd.get(), cap, digest.ToString());
    const auto ingest = store_.content().Begin(digest, std::nullopt);
    ingest->Write(AsBytes(bytes));
    ingest->Commit();
    return bytes;
  }

  void CopyBlob(const oci::Descriptor& blob) const {
    if (store_.content().Has(blob.digest)) return;
    const UniqueFd fd = OpenBlob(blob.digest);
    FdReader in(fd.get(), blob.digest.ToString());
    const auto ingest = store_.content().Begin(blob.digest, blob.size);
    std::vector<std::byte> buffer(kCopyBytes);
    for (size_t n; (n = in.Read(buffer)) != 0;) {
      cancel_.Check();
      ingest->Write(Bytes(buffer).first(n));
    }
    ingest->Commit();
  }

  Error Damaged(std::string_view why) const {
    return Error(
        ErrorCode::kRegistry,
        fmt::format("the OCI layout {} is damaged: {}", Quoted(path_), why));
  }

 private:
  UniqueFd OpenBlob(const oci::Digest& digest) const {
    std::string name = digest.ToString();
    name[name.find(':')] = '/';
    UniqueFd fd = OpenFile(dir_.get(), "blobs/" + name);
    if (!fd) throw Damaged(fmt::format("it lacks {}", digest.ToString()));
    return fd;
  }

  store::Store& store_;
  const std::string path_;
  const CancelToken& cancel_;
  UniqueFd dir_;
};

// Whether an entry of index.json is called `tag`: as its whole name, or as the
// tag of it.
bool IsCalled(const oci::Descriptor& entry, const std::string& tag) {
  for (const char* key : {kRefName, kContainerdName}) {
    const auto it = entry.annotations.find(key);
    if (it == entry.annotations.end()) continue;
    if (it->second == tag) return true;
    const auto reference = oci::Reference::TryParse(it->second);
    if (reference && reference->tag() == tag) return true;
  }
  return false;
}

oci::Digest FindTarget(const LayoutName& name, const oci::Index& index) {
  if (name.digest) return *name.digest;
  const std::string tag = name.tag.value_or("latest");
  for (const oci::Descriptor& entry : index.manifests) {
    if (IsCalled(entry, tag)) return entry.digest;
  }
  if (!name.tag && index.manifests.size() == 1) {
    return index.manifests.front().digest;
  }
  Error error(ErrorCode::kUsage,
              fmt::format("the OCI layout {} has no image {}",
                          Quoted(name.path), Quoted(tag)));
  std::vector<std::string> names;
  for (const oci::Descriptor& entry : index.manifests) {
    const auto it = entry.annotations.find(kRefName);
    names.push_back(it == entry.annotations.end()
                        ? "@" + entry.digest.ToString()
                        : ":" + it->second);
  }
  throw error.WithHint(names.empty() ? "it is empty"
                                     : "it has: " + Join(names, ", "));
}

}  // namespace

LayoutName ParseLayoutName(std::string_view text) {
  LayoutName name;
  const size_t at = text.find('@');
  if (at != std::string_view::npos) {
    name.digest = oci::Digest::Parse(text.substr(at + 1));
    text = text.substr(0, at);
  }
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos &&
      text.find('/', colon) == std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!oci::IsValidTag(*name.tag)) {
      throw Error(
          ErrorCode::kUsage,
          fmt::format("invalid tag {} of an OCI layout", Quoted(*name.tag)));
    }
  }
  name.path = text;
  return name;
}

plan::ResolvedImage ImportLayout(store::Store& store, const LayoutName& name,
                                 const oci::Platform& platform,
                                 const CancelToken& cancel) {
  const LayoutReader layout(store, name.path, cancel);
  const oci::Digest target = FindTarget(name, layout.ReadIndex());
  oci::Document document =
      oci::ParseDocument(layout.ReadSmall(target, oci::kMaxManifestBytes), "");
  for (int depth = 0; document.index; ++depth) {
    if (depth == kMaxDepth) throw layout.Damaged("indexes nested too deep");
    const oci::Descriptor& chosen =
        oci::ChoosePlatform(*document.index, platform, name.path);
    document = oci::ParseDocument(
        layout.ReadSmall(chosen.digest, oci::kMaxManifestBytes), "");
  }
  const oci::Manifest& manifest = *document.manifest;
  const std::string config =
      layout.ReadSmall(manifest.config.digest, oci::kMaxConfigBytes);
  plan::ResolvedImage image{
      // A name that no registry has: nothing is ever fetched by it.
      oci::Reference::Parse("localhost/oci-layout").WithDigest(target),
      target,
      document.digest,
      manifest.config.digest,
      oci::ParseImageConfig(config),
      manifest.layers};
  if (image.config.diff_ids.size() != image.layers.size()) {
    throw layout.Damaged(
        fmt::format("its manifest has {} layers, its config {}",
                    image.layers.size(), image.config.diff_ids.size()));
  }
  for (const oci::Descriptor& layer : image.layers) layout.CopyBlob(layer);
  return image;
}

}  // namespace imgbuild::transfer
