#include "imgbuild/transfer/copy.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/for_each.h"

#include "transfer/stream_error.h"

namespace imgbuild::transfer {
namespace {

// An index may hold an index; four deep is more than anybody builds.
constexpr int kMaxDepth = 4;
// A stream that the place began again is copied from its beginning again.
constexpr int kBlobAttempts = 3;

Error TooDeep(const ImageSource& source) {
  return Error(ErrorCode::kRegistry, fmt::format("{}: indexes are nested too "
                                                 "deep",
                                                 source.name()));
}

class Copier {
 public:
  Copier(ImageSource& source, ImageTarget& target, const CopyOptions& options,
         const CancelToken& cancel)
      : source_(source), target_(target), options_(options), cancel_(cancel) {}

  void Run(const oci::Document& root, bool with_root) {
    Collect(root, 0);
    if (options_.referrers) CollectReferrers();
    if (options_.on_plan) options_.on_plan(blobs_);
    if (target_.in_order()) return PutInOrder();
    ForEach(blobs_, options_.parallel_blobs,
            [this](const oci::Descriptor& blob) { PutBlob(blob); });
    for (const oci::Document& document : documents_) {
      cancel_.Check();
      if (!with_root && document.digest == root.digest) continue;
      target_.PutDocument(document);
    }
  }

 private:
  // Children first, each once: the order in which a registry takes them.
  void Collect(const oci::Document& document, int depth) {
    if (depth > kMaxDepth) throw TooDeep(source_);
    if (!seen_.insert(document.digest).second) return;
    if (!options_.every_blob && !options_.referrers && target_.Has(document)) {
      return;
    }
    if (document.index) {
      for (const oci::Descriptor& child : document.index->manifests) {
        CollectChild(document, child, depth);
      }
    } else {
      for (const oci::Descriptor& layer : document.manifest->layers) {
        // Foreign layers are fetched from elsewhere by whoever pulls.
        if (!oci::IsForeignLayer(layer.media_type)) AddBlob(layer);
      }
      AddBlob(document.manifest->config);
    }
    documents_.push_back(document);
  }
  void CollectChild(const oci::Document& index, const oci::Descriptor& child,
                    int depth) {
    // Something else under an index's roof is a blob.
    if (!oci::IsManifestType(child.media_type) &&
        !oci::IsIndexType(child.media_type)) {
      return AddBlob(child);
    }
    cancel_.Check();
    try {
      Collect(source_.Load(child.digest), depth + 1);
    } catch (Error& error) {
      if (depth > 0) throw;
      throw error.While(
          fmt::format("while copying the index {}", index.digest.ToString()));
    }
  }
  void CollectReferrers() {
    // What refers to a referrer is found on the way.
    for (size_t i = 0; i < documents_.size(); ++i) {
      const oci::Digest subject = documents_[i].digest;
      for (const oci::Descriptor& entry : source_.Referrers(subject)) {
        Collect(source_.Load(entry.digest), 0);
      }
    }
  }
  void AddBlob(const oci::Descriptor& blob) {
    if (seen_.insert(blob.digest).second) blobs_.push_back(blob);
  }

  void PutInOrder() {
    std::map<oci::Digest, const oci::Descriptor*> blobs;
    std::map<oci::Digest, const oci::Document*> documents;
    for (const oci::Descriptor& blob : blobs_) blobs[blob.digest] = &blob;
    for (const oci::Document& one : documents_) documents[one.digest] = &one;
    auto blob = blobs.begin();
    for (const auto& [digest, document] : documents) {
      for (; blob != blobs.end() && blob->first < digest; ++blob) {
        PutBlob(*blob->second);
      }
      target_.PutDocument(*document);
    }
    for (; blob != blobs.end(); ++blob) PutBlob(*blob->second);
  }

  void PutBlob(const oci::Descriptor& blob) {
    const auto bytes = source_.Blob(blob);
    for (int attempt = 1;; ++attempt) {
      cancel_.Check();
      try {
        const registry::PushOutcome outcome =
            target_.PutBlob(blob, *bytes, source_.Holders(blob.digest));
        if (!options_.on_blob) return;
        const std::scoped_lock lock(callback_mutex_);
        return options_.on_blob(blob, outcome);
      } catch (const StreamBeganAgain&) {
        if (attempt == kBlobAttempts) throw;
      } catch (Error& error) {
        if (error.code() == ErrorCode::kInterrupted) throw;
        throw error.While("while copying the blob " + blob.digest.ToString());
      }
    }
  }

  ImageSource& source_;
  ImageTarget& target_;
  const CopyOptions& options_;
  const CancelToken& cancel_;
  std::set<oci::Digest> seen_;
  std::vector<oci::Descriptor> blobs_;
  std::vector<oci::Document> documents_;
  std::mutex callback_mutex_;
};

}  // namespace

std::vector<oci::Repository> ImageSource::Holders(const oci::Digest&) {
  return {};
}
std::vector<oci::Descriptor> ImageSource::Referrers(const oci::Digest&) {
  return {};
}

void CopyImages(ImageSource& source, ImageTarget& target,
                const oci::Document& document, const CopyOptions& options,
                const CancelToken& cancel) {
  Copier(source, target, options, cancel)
      .Run(document, document.manifest.has_value());
}

CopyResult Copy(ImageSource& source, ImageTarget& target,
                const CopyOptions& options, const CancelToken& cancel) {
  oci::Document root = source.Root();
  if (options.platform) {
    root = ChooseImage(source, std::move(root), *options.platform);
  }
  Copier(source, target, options, cancel).Run(root, false);
  target.Name(root);
  return {root.digest, root.bytes.size()};
}

std::optional<oci::ImageConfig> ReadConfig(ImageSource& source,
                                           const oci::Manifest& manifest) {
  const oci::Descriptor& config = manifest.config;
  if (config.media_type != oci::media_type::kOciConfig &&
      config.media_type != oci::media_type::kDockerConfig) {
    return std::nullopt;
  }
  if (config.size > oci::kMaxConfigBytes) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("the config {} is too large: {} bytes",
                            config.digest.ToString(), config.size));
  }
  const auto reader = source.Blob(config)->ReadFrom(0);
  StringWriter text;
  oci::VerifyingWriter verify(text, config.digest, config.size, "config");
  imgbuild::CopyAll(*reader, verify);
  verify.Finish();
  return oci::ParseImageConfig(text.text());
}

std::optional<oci::Platform> PlatformOf(ImageSource& source,
                                        const oci::Manifest& manifest) {
  const auto config = ReadConfig(source, manifest);
  if (!config) return std::nullopt;
  return config->platform;
}

namespace {

// *said: whether the index tells what the image is for.
oci::Document Descend(ImageSource& source, oci::Document document,
                      const oci::Platform& platform, bool* said) {
  *said = false;
  for (int depth = 0; document.index; ++depth) {
    if (depth > kMaxDepth) throw TooDeep(source);
    const oci::Descriptor chosen =
        oci::ChoosePlatform(*document.index, platform, source.name());
    *said = chosen.platform.has_value();
    document = source.Load(chosen.digest);
  }
  return document;
}

}  // namespace

oci::Document ImageInIndex(ImageSource& source, oci::Document document,
                           const oci::Platform& platform) {
  bool said = false;
  return Descend(source, std::move(document), platform, &said);
}

oci::Document ChooseImage(ImageSource& source, oci::Document document,
                          const oci::Platform& platform) {
  bool said = false;
  document = Descend(source, std::move(document), platform, &said);
  if (said) return document;
  // A single image, or an entry that names no platform, says it here.
  const auto found = PlatformOf(source, *document.manifest);
  if (found && !oci::MatchRank(platform, *found)) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("{} is for {}, not for {}", source.name(),
                            found->ToString(), platform.ToString()));
  }
  return document;
}

}  // namespace imgbuild::transfer
