#include "imgbuild/transfer/recompress.h"

#include <fmt/format.h>

#include <map>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/compress.h"
#include "imgbuild/oci/image_config.h"
#include "imgbuild/transfer/copy.h"
#include "imgbuild/util/error.h"

namespace imgbuild::transfer {
namespace {

constexpr int kMaxDepth = 4;

// Counts and hashes what is read.
class Hashed : public Reader {
 public:
  Hashed(Reader& from, oci::DigestAlgorithm algorithm)
      : from_(from), hasher_(algorithm) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n = from_.Read(buffer);
    hasher_.Write(buffer.first(n));
    return n;
  }
  oci::Digest Finish() { return hasher_.Finish(); }

 private:
  Reader& from_;
  oci::Hasher hasher_;
};

// Counts what goes by.
class Counted : public Writer {
 public:
  explicit Counted(Writer& to) : to_(to) {}
  void Write(Bytes bytes) override {
    to_.Write(bytes);
    count_ += bytes.size();
  }
  uint64_t count() const { return count_; }

 private:
  Writer& to_;
  uint64_t count_ = 0;
};

bool IsDockers(const oci::Manifest& manifest) {
  return manifest.media_type == oci::media_type::kDockerManifest;
}

std::string LayerType(oci::Compression compression, bool docker) {
  switch (compression) {
    case oci::Compression::kZstd:
      return std::string(oci::media_type::kOciLayerZstd);
    case oci::Compression::kGzip:
      return std::string(docker ? oci::media_type::kDockerLayerGzip
                                : oci::media_type::kOciLayerGzip);
    case oci::Compression::kNone:
      break;
  }
  return docker ? "application/vnd.docker.image.rootfs.diff.tar"
                : std::string(oci::media_type::kOciLayerTar);
}

// They describe the old bytes (offsets of a table of contents).
bool IsOfTheBytes(const std::string& annotation) {
  return annotation.starts_with("io.github.containers.zstd-chunked.") ||
         annotation.starts_with("containerd.io/snapshot/stargz/") ||
         annotation == "io.containers.estargz.uncompressed-size";
}

oci::Document Parsed(std::string bytes, const std::string& media_type) {
  return oci::ParseDocument(std::move(bytes), media_type);
}

class Recompressor {
 public:
  Recompressor(ImageSource& source, store::Store& store,
               const WantedCompression& wanted, ThreadPool& pool,
               const CancelToken& cancel)
      : source_(source),
        store_(store),
        wanted_(wanted),
        pool_(pool),
        cancel_(cancel) {}

  oci::Document Document(const oci::Document& document, int depth) {
    cancel_.Check();
    oci::Document made =
        document.index ? Index(document, depth) : Manifest(document);
    store_.content().Put(made.bytes);
    return made;
  }

 private:
  oci::Document Index(const oci::Document& document, int depth) {
    if (depth > kMaxDepth) {
      throw Error(
          ErrorCode::kRegistry,
          fmt::format("{}: indexes are nested too deep", source_.name()));
    }
    oci::Index index = *document.index;
    std::map<std::string, std::string> renamed;
    for (oci::Descriptor& entry : index.manifests) {
      const oci::Document made =
          Document(source_.Load(entry.digest), depth + 1);
      renamed[entry.digest.ToString()] = made.digest.ToString();
      entry.digest = made.digest;
      entry.size = made.bytes.size();
      if (entry.media_type != made.media_type) {
        // Docker's list has Docker's manifests only.
        index.media_type = std::string(oci::media_type::kOciIndex);
      }
      entry.media_type = made.media_type;
    }
    // Attestations name the manifest that they speak of.
    for (oci::Descriptor& entry : index.manifests) {
      const auto of = entry.annotations.find("vnd.docker.reference.digest");
      if (of == entry.annotations.end()) continue;
      if (const auto now = renamed.find(of->second); now != renamed.end()) {
        of->second = now->second;
      }
    }
    if (index.media_type.empty()) index.media_type = document.media_type;
    return Parsed(oci::Serialize(index), index.media_type);
  }

  oci::Document Manifest(const oci::Document& document) {
    const auto config = ConfigOf(*document.manifest);
    if (!config) return document;  // an artifact's blobs are no layers
    oci::Manifest manifest = *document.manifest;
    if (manifest.media_type.empty()) manifest.media_type = document.media_type;
    bool changed = false;
    for (size_t i = 0; i < manifest.layers.size(); ++i) {
      changed |= Layer(manifest.layers[i], config->diff_ids[i],
                       IsDockers(*document.manifest));
    }
    if (!changed) return document;
    if (IsDockers(manifest) && wanted_.compression == oci::Compression::kZstd) {
      BecomeOci(manifest);
    }
    return Parsed(oci::Serialize(manifest), manifest.media_type);
  }

  static void BecomeOci(oci::Manifest& manifest) {
    manifest.media_type = std::string(oci::media_type::kOciManifest);
    manifest.config.media_type = std::string(oci::media_type::kOciConfig);
    for (oci::Descriptor& layer : manifest.layers) {
      if (oci::IsForeignLayer(layer.media_type)) {
        layer.media_type =
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
      } else if (layer.media_type == oci::media_type::kDockerLayerGzip) {
        layer.media_type = std::string(oci::media_type::kOciLayerGzip);
      }
    }
  }

  std::optional<oci::ImageConfig> ConfigOf(const oci::Manifest& manifest) {
    auto config = ReadConfig(source_, manifest);
    if (!config) return std::nullopt;
    if (config->diff_ids.size() != manifest.layers.size()) return std::nullopt;
    return config;
  }

  // True when the layer is another blob now.
  bool Layer(oci::Descriptor& layer, const oci::DiffId& diff_id, bool docker) {
    if (oci::IsForeignLayer(layer.media_type)) return false;
    const auto now = oci::LayerCompression(layer.media_type);
    // An attestation has an image's config, too; what is no tar stays.
    if (!now) return false;
    if (*now == wanted_.compression && !wanted_.level) return false;
    cancel_.Check();
    const auto packed = source_.Blob(layer)->ReadFrom(0);
    const auto plain = layer::Decompress(*packed, *now);
    Hashed hashed(*plain, diff_id.digest().algorithm());
    const auto ingest = store_.content().Begin(std::nullopt, std::nullopt);
    Counted counted(*ingest);
    layer::Compress(hashed, counted, pool_, wanted_.compression, wanted_.level);
    if (hashed.Finish() != diff_id.digest()) {
      throw Error(ErrorCode::kRegistry,
                  fmt::format("layer {} does not unpack to {}, which the image "
                              "config says",
                              layer.digest.ToString(), diff_id.ToString()));
    }
    layer.digest = ingest->Commit();
    layer.size = counted.count();
    layer.media_type = LayerType(wanted_.compression, docker);
    std::erase_if(layer.annotations,
                  [](const auto& entry) { return IsOfTheBytes(entry.first); });
    return true;
  }

  ImageSource& source_;
  store::Store& store_;
  const WantedCompression& wanted_;
  ThreadPool& pool_;
  const CancelToken& cancel_;
};

}  // namespace

oci::Document Recompress(ImageSource& source, store::Store& store,
                         const oci::Document& document,
                         const WantedCompression& wanted, ThreadPool& pool,
                         const CancelToken& cancel) {
  return Recompressor(source, store, wanted, pool, cancel)
      .Document(document, 0);
}

}  // namespace imgbuild::transfer
