// Archives of images, read. Nothing in one is trusted: every file becomes a
// blob under its own digest, and what the documents say is checked against
// those.
#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/transfer/archive.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "transfer/archive_index.h"
#include "transfer/sniffed.h"

namespace imgbuild::transfer {
namespace {

// Puts every file of the archive into the store.
class Files {
 public:
  Files(store::Store& store, std::vector<oci::Digest>* ingested)
      : store_(store), ingested_(ingested) {}

  void ReadFrom(Reader& input) {
    Sniffed sniffed(input);
    const auto format = layer::SniffCompression(sniffed.head());
    const auto plain = layer::DecompressAny(sniffed, format);
    layer::TarLimits limits;
    limits.max_entries = kMaxArchiveFiles;
    layer::TarReader tar(*plain, limits);
    while (const auto entry = tar.Next()) {
      const auto path = CleanArchivePath(entry->path);
      if (!path) throw Refused("unsafe name " + Quoted(entry->path));
      if (entry->type == layer::EntryType::kDirectory || path->empty()) {
        continue;
      }
      if (entry->type == layer::EntryType::kSymlink) {
        links_.Add(*path, entry->link_target);
        continue;
      }
      if (entry->type != layer::EntryType::kFile) {
        throw NeitherFileNorDirectory(*path);
      }
      const auto [it, first] =
          files_.emplace(*path, Ingest(tar, *path, *entry));
      if (!first) throw Refused(Quoted(*path) + " is there twice");
    }
    if (files_.empty()) throw Refused("there is nothing in it");
  }

  const ArchivePart* Find(const std::string& path) const {
    const auto found = files_.find(path);
    return found == files_.end() ? nullptr : &found->second;
  }
  // The same, `path` being a link's or not.
  const ArchivePart* FindLinked(const std::string& path) const {
    return Find(links_.Follow(path));
  }
  // A document of the archive's own; nullopt when it has none.
  std::optional<std::string> ReadText(const std::string& path) const {
    const ArchivePart* file = Find(path);
    if (file == nullptr) return std::nullopt;
    return store_.content().Read(file->digest, oci::kMaxManifestBytes);
  }

 private:
  ArchivePart Ingest(layer::TarReader& tar, const std::string& path,
                     const layer::Entry& entry) {
    auto ingest = store_.content().Begin(PromisedDigest(path), entry.size);
    std::vector<std::byte> buffer(256u << 10);
    while (const size_t n = tar.Read(buffer)) {
      ingest->Write(Bytes(buffer).first(n));
    }
    try {
      const oci::Digest digest = ingest->Commit();
      ingested_->push_back(digest);
      return {digest, entry.size};
    } catch (Error& error) {
      throw error.While("while reading " + path + " of the archive");
    }
  }

  store::Store& store_;
  std::vector<oci::Digest>* ingested_;
  std::map<std::string, ArchivePart> files_;
  ArchiveLinks links_;
};

// One image that is in the store, before it has its names.
struct Pending {
  oci::Digest target;  // what its names stand for
  plan::ResolvedImage image;
  std::vector<oci::Reference> names;
};

class Loader {
 public:
  Loader(store::Store& store, Transfer& transfer,
         const std::optional<oci::Platform>& platform,
         std::vector<oci::Digest>* ingested, bool keep_tags)
      : store_(store),
        transfer_(transfer),
        platform_(platform),
        files_(store, ingested),
        ingested_(ingested),
        keep_tags_(keep_tags) {}

  std::vector<LoadedImage> Run(Reader& input) {
    files_.ReadFrom(input);
    if (const auto index = files_.ReadText("index.json")) {
      ReadLayout(*index);
    } else if (const auto manifest = files_.ReadText("manifest.json")) {
      ReadDockerArchive(*manifest);
    } else {
      throw Refused("it has neither index.json nor manifest.json")
          .WithHint("imgbuild import makes an image of a root file system");
    }
    if (pending_.empty()) {
      throw Refused(platform_ ? "no image in it is for " + platform_->ToString()
                              : std::string("there is no image in it"));
    }
    return Finish();
  }

 private:
  void ReadLayout(const std::string& text) {
    const oci::Document document =
        oci::ParseDocument(text, oci::media_type::kOciIndex);
    for (const oci::Descriptor& entry : document.index->manifests) {
      AddTarget(entry, NamesOf(entry));
    }
  }

  std::string ReadBlob(const oci::Digest& digest, size_t cap,
                       const std::string& what) {
    auto bytes = store_.content().Read(digest, cap);
    if (bytes) return std::move(*bytes);
    throw Refused(fmt::format("the {} {} is missing", what, digest.ToString()));
  }

  void AddTarget(const oci::Descriptor& entry,
                 std::vector<oci::Reference> names) {
    for (const oci::Reference& name : names) {
      if (name.digest() && *name.digest() != entry.digest) {
        throw Refused(fmt::format("{} stands beside the digest {}",
                                  name.Familiar(), entry.digest.ToString()));
      }
    }
    const oci::Document document = oci::ParseDocument(
        ReadBlob(entry.digest, oci::kMaxManifestBytes, "manifest"),
        entry.media_type);
    if (document.manifest) {
      AddManifest(document, entry.digest, std::move(names));
      return;
    }
    std::vector<oci::Descriptor> here;
    for (const oci::Descriptor& one : document.index->manifests) {
      if (one.platform && one.platform->os == "unknown") continue;
      if (store_.content().Has(one.digest)) here.push_back(one);
    }
    // The host's own platform last: a tag stands for the last one that was
    // named.
    std::ranges::stable_sort(
        here, [](const auto& a, const auto& b) { return Rank(a) > Rank(b); });
    for (const oci::Descriptor& one : here) {
      AddManifest(oci::ParseDocument(
                      ReadBlob(one.digest, oci::kMaxManifestBytes, "manifest"),
                      one.media_type),
                  entry.digest, names);
    }
  }

  static int Rank(const oci::Descriptor& entry) {
    constexpr int kUnfit = 1000;
    if (!entry.platform) return kUnfit;
    return oci::MatchRank(oci::Platform::Host(), *entry.platform)
        .value_or(kUnfit);
  }

  void AddManifest(const oci::Document& document, const oci::Digest& target,
                   std::vector<oci::Reference> names) {
    if (!document.manifest) throw Refused("an index inside of an index");
    const oci::Manifest& manifest = *document.manifest;
    const oci::ImageConfig config = oci::ParseImageConfig(
        ReadBlob(manifest.config.digest, oci::kMaxConfigBytes, "image config"));
    if (platform_ && config.platform.Normalized() != *platform_) return;
    if (config.diff_ids.size() != manifest.layers.size()) {
      throw Refused(fmt::format("the config names {} layers, the manifest {}",
                                config.diff_ids.size(),
                                manifest.layers.size()));
    }
    for (const oci::Descriptor& layer : manifest.layers) {
      const auto size = store_.content().Size(layer.digest);
      if (!size) {
        throw Refused("the layer " + layer.digest.ToString() + " is missing");
      }
      if (*size != layer.size) {
        throw Refused(fmt::format("the layer {} has {} bytes, not {}",
                                  layer.digest.ToString(), *size, layer.size));
      }
    }
    const oci::Reference name =
        names.empty() ? oci::Reference::Parse("archive") : names.front();
    plan::ResolvedImage image{
        name,   target,         document.digest, manifest.config.digest,
        config, manifest.layers};
    transfer_.EnsureUnpacked(LayersOf(image));  // checks every DiffId
    pending_.push_back({target, std::move(image), std::move(names)});
  }

  void ReadDockerArchive(const std::string& text) {
    for (const ListedImage& image : ParseDockerManifest(text)) {
      AddDockerImage(image);
    }
  }

  const ArchivePart& Require(const std::string& name) const {
    const auto path = CleanArchivePath(name);
    const ArchivePart* file = path ? files_.FindLinked(*path) : nullptr;
    if (file != nullptr) return *file;
    throw Refused(Quoted(name) + " of manifest.json is missing");
  }

  void AddDockerImage(const ListedImage& listed) {
    std::vector<oci::Descriptor> layers;
    for (const std::string& path : listed.layers) {
      const ArchivePart& blob = Require(path);
      layers.push_back(
          {LayerType(blob), blob.digest, blob.size, {}, {}, {}, {}});
    }
    const std::string bytes =
        oci::Serialize(ManifestOf(Require(listed.config), std::move(layers)));
    const oci::Digest digest = store_.content().Put(bytes);
    ingested_->push_back(digest);
    AddManifest(oci::ParseDocument(bytes, oci::media_type::kOciManifest),
                digest, listed.names);
  }

  std::string LayerType(const ArchivePart& blob) {
    const auto file = store_.content().Open(blob.digest);
    if (!file) throw Refused("a layer is missing");
    FdReader reader(file->get(), "layer");
    return LayerTypeOf(Sniffed(reader).head());
  }

  // Before anything is written down.
  void RefuseMovedTags() const {
    for (const Pending& pending : pending_) {
      for (const oci::Reference& name : pending.names) {
        if (!name.tag()) continue;
        const auto match = store_.images().Find(name.ToString());
        if (!match || IsPending(match->image.manifest)) continue;
        throw Error(ErrorCode::kFailed,
                    fmt::format("load: the tag {} is on image {} here, and the "
                                "archive would move it",
                                name.Familiar(), match->image.id.Short()))
            .WithHint("remove or rename the tag, or leave out --keep-tags");
      }
    }
  }

  bool IsPending(const oci::Digest& manifest) const {
    return std::ranges::any_of(pending_, [&](const Pending& pending) {
      return pending.image.manifest == manifest;
    });
  }

  // Everything is there: now records, then names.
  std::vector<LoadedImage> Finish() {
    std::vector<LoadedImage> loaded;
    if (keep_tags_) RefuseMovedTags();
    for (const Pending& pending : pending_) {
      store_.images().PutImage(RecordImage(store_, pending.image));
      if (pending.target != pending.image.manifest) {
        store_.images().LinkIndex(pending.target, pending.image.manifest);
      }
    }
    for (const Pending& pending : pending_) {
      LoadedImage one{
          oci::ImageId(pending.image.config_digest), pending.names, {}};
      for (const oci::Reference& name : pending.names) {
        SetName(name, pending, one);
      }
      loaded.push_back(std::move(one));
    }
    return loaded;
  }

  void SetName(const oci::Reference& name, const Pending& pending,
               LoadedImage& loaded) {
    const auto before = store_.images().SetName(
        {name.repository(), name.tag(), pending.target, pending.image.manifest,
         std::nullopt, name.digest().has_value()});
    if (!before || *before == pending.image.manifest) return;
    // Of one index loaded for two platforms the second is no news.
    if (IsPending(*before)) return;
    const auto old = store_.images().FindManifest(*before);
    if (old) loaded.moved.emplace_back(name, old->id);
  }

  store::Store& store_;
  Transfer& transfer_;
  const std::optional<oci::Platform>& platform_;
  Files files_;
  std::vector<oci::Digest>* ingested_;
  bool keep_tags_;
  std::vector<Pending> pending_;
};

}  // namespace

std::vector<LoadedImage> LoadArchive(
    store::Store& store, Transfer& transfer, Reader& input,
    const std::optional<oci::Platform>& platform,
    std::vector<oci::Digest>* ingested, bool keep_tags) {
  return Loader(store, transfer, platform, ingested, keep_tags).Run(input);
}

}  // namespace imgbuild::transfer
