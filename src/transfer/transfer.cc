#include "imgbuild/transfer/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "imgbuild/util/error.h"
#include "imgbuild/util/for_each.h"
#include "imgbuild/util/strings.h"

#include "transfer/layer_fetch.h"
#include "transfer/put_bytes.h"

namespace imgbuild::transfer {
namespace {

// The digests in flight in this process: whoever comes second waits.
class InFlight {
 public:
  // False when somebody else had it (and is done now).
  bool Enter(const std::string& key) {
    std::unique_lock lock(mutex_);
    if (busy_.insert(key).second) return true;
    changed_.wait(lock, [&] { return !busy_.contains(key); });
    return false;
  }
  void Leave(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    busy_.erase(key);
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> busy_;
};

}  // namespace

std::vector<LayerName> LayersOf(const plan::ResolvedImage& image) {
  std::vector<LayerName> layers;
  layers.reserve(image.layers.size());
  for (size_t i = 0; i < image.layers.size(); ++i) {
    layers.push_back({image.config.diff_ids[i], image.layers[i]});
  }
  return layers;
}

store::ImageRecord RecordImage(store::Store& store,
                               const plan::ResolvedImage& image) {
  store::ImageRecord record{image.manifest,
                            oci::ImageId(image.config_digest),
                            image.config.platform,
                            std::nullopt,
                            SystemClock().NowSeconds(),
                            0,
                            image.config.diff_ids,
                            image.layers};
  if (image.config.created) {
    record.created_s = ParseRfc3339(*image.config.created);
  }
  for (const LayerName& layer : LayersOf(image)) {
    const auto known = store.cache().FindLayer(layer.diff_id);
    record.size += known ? known->tar_size : layer.blob.size;
  }
  return record;
}

class Transfer::Impl {
 public:
  Impl(store::Store& store, registry::Client& client, TransferOptions options,
       const CancelToken& cancel)
      : store_(store),
        client_(client),
        options_(std::move(options)),
        cancel_(cancel) {
    if (options_.on_layer) {
      options_.on_layer = [this, call = options_.on_layer](
                              const oci::Descriptor& layer, LayerState state,
                              uint64_t done) {
        const std::scoped_lock lock(callback_mutex_);
        call(layer, state, done);
      };
    }
  }

  plan::ResolvedImage Resolve(const oci::Reference& reference,
                              const oci::Platform& platform, PullPolicy policy);
  void EnsureBlobs(const std::vector<LayerName>& layers);
  void EnsureUnpacked(const std::vector<LayerName>& layers);
  PullResult Pull(const oci::Reference& reference,
                  const oci::Platform& platform, PullPolicy policy);

 private:
  // The manifest or index `digest`, from the store or the registry.
  oci::Document Document(const oci::Repository& repository,
                         const oci::Digest& digest, PullPolicy policy);
  std::optional<oci::Document> StoredDocument(const oci::Digest& digest);
  oci::Digest DigestOf(const oci::Reference& reference,
                       const oci::Platform& platform, PullPolicy policy);
  plan::ResolvedImage FromManifest(const oci::Reference& reference,
                                   const oci::Digest& target,
                                   const oci::Document& document,
                                   PullPolicy policy);
  FetchContext Context() {
    return {store_, client_, options_, cancel_, windows_};
  }
  template <typename Job>
  void Once(const std::string& key, Job job);

  store::Store& store_;
  registry::Client& client_;
  TransferOptions options_;
  const CancelToken& cancel_;
  InFlight in_flight_;
  WindowBudget windows_;
  std::mutex callback_mutex_;
};

template <typename Job>
void Transfer::Impl::Once(const std::string& key, Job job) {
  if (!in_flight_.Enter(key)) {
    job();  // cheap now: what we waited for is there, or it failed for them
    return;
  }
  try {
    job();
  } catch (...) {
    in_flight_.Leave(key);
    throw;
  }
  in_flight_.Leave(key);
}

std::optional<oci::Document> Transfer::Impl::StoredDocument(
    const oci::Digest& digest) {
  auto bytes = store_.content().Read(digest, oci::kMaxManifestBytes);
  if (!bytes) return std::nullopt;
  oci::Document document = oci::ParseDocument(std::move(*bytes), "");
  document.digest = digest;
  return document;
}

oci::Document Transfer::Impl::Document(const oci::Repository& repository,
                                       const oci::Digest& digest,
                                       PullPolicy policy) {
  if (auto stored = StoredDocument(digest)) return std::move(*stored);
  if (policy == PullPolicy::kNever) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{}@{} is not in the store", repository.Familiar(),
                            digest.ToString()));
  }
  oci::Document document = client_.FetchDocument(
      oci::Reference(repository, std::nullopt, digest), cancel_);
  PutBytes(store_.content(), digest, document.bytes);
  return document;
}

oci::Digest Transfer::Impl::DigestOf(const oci::Reference& reference,
                                     const oci::Platform& platform,
                                     PullPolicy policy) {
  if (reference.digest()) return *reference.digest();
  if (policy != PullPolicy::kAlways) {
    const auto match = store_.images().Find(reference.ToString());
    if (match && match->name &&
        oci::MatchRank(platform, match->image.platform)) {
      return match->name->target;
    }
    if (policy == PullPolicy::kNever) {
      Error error(ErrorCode::kUsage,
                  fmt::format("{} is not in the store", reference.Familiar()));
      throw error.WithHint("pull it first, or allow pulling");
    }
  }
  return client_.Resolve(reference, cancel_).digest;
}

plan::ResolvedImage Transfer::Impl::FromManifest(
    const oci::Reference& reference, const oci::Digest& target,
    const oci::Document& document, PullPolicy policy) {
  const oci::Manifest& manifest = *document.manifest;
  if (manifest.config.media_type != oci::media_type::kOciConfig &&
      manifest.config.media_type != oci::media_type::kDockerConfig) {
    throw Error(ErrorCode::kRegistry,
                fmt::format("{} is not an image that can run: its config is "
                            "of the type {}",
                            reference.Familiar(), manifest.config.media_type));
  }
  auto config =
      store_.content().Read(manifest.config.digest, oci::kMaxConfigBytes);
  if (!config) {
    if (policy == PullPolicy::kNever) {
      throw Error(ErrorCode::kUsage, fmt::format("the config of {} is not in "
                                                 "the store",
                                                 reference.Familiar()));
    }
    config = client_.FetchSmallBlob(reference.repository(), manifest.config,
                                    oci::kMaxConfigBytes, cancel_);
    PutBytes(store_.content(), manifest.config.digest, *config);
  }
  plan::ResolvedImage image{reference,
                            target,
                            document.digest,
                            manifest.config.digest,
                            oci::ParseImageConfig(*config),
                            manifest.layers,
                            document.bytes.size()};
  if (image.config.diff_ids.size() != image.layers.size()) {
    throw Error(
        ErrorCode::kRegistry,
        fmt::format("{} is inconsistent: its manifest has {} layers, its "
                    "config {}",
                    reference.Familiar(), image.layers.size(),
                    image.config.diff_ids.size()));
  }
  for (const oci::Descriptor& layer : image.layers) {
    store_.AddOrigin(layer.digest, reference.repository());
  }
  return image;
}

plan::ResolvedImage Transfer::Impl::Resolve(const oci::Reference& reference,
                                            const oci::Platform& platform,
                                            PullPolicy policy) {
  const oci::Digest target = DigestOf(reference, platform, policy);
  oci::Document document = Document(reference.repository(), target, policy);
  // An index may hold an index; four deep is more than anybody builds.
  for (int depth = 0; document.index; ++depth) {
    if (depth == 4) {
      throw Error(
          ErrorCode::kRegistry,
          fmt::format("{}: indexes are nested too deep", reference.Familiar()));
    }
    const oci::Descriptor& chosen =
        oci::ChoosePlatform(*document.index, platform, reference.Familiar());
    const oci::Digest index = document.digest;
    try {
      document = Document(reference.repository(), chosen.digest, policy);
    } catch (Error& error) {
      throw error.While(
          fmt::format("while reading the index {}", index.ToString()));
    }
    store_.images().LinkIndex(index, document.digest);
  }
  return FromManifest(reference, target, document, policy);
}

void Transfer::Impl::EnsureBlobs(const std::vector<LayerName>& layers) {
  ForEach(layers, options_.parallel_layers, [this](const LayerName& layer) {
    cancel_.Check();
    Once(layer.blob.digest.ToString(), [&] {
      if (store_.content().Has(layer.blob.digest)) return;
      FetchBlob(Context(), layer.blob, nullptr);
    });
  });
}

void Transfer::Impl::EnsureUnpacked(const std::vector<LayerName>& layers) {
  // The longest first: a big one that begins last is waited for alone.
  std::vector<LayerName> order = layers;
  std::ranges::stable_sort(order, std::ranges::greater{},
                           [](const LayerName& l) { return l.blob.size; });
  ForEach(order, options_.parallel_layers, [this](const LayerName& layer) {
    cancel_.Check();
    Once(layer.blob.digest.ToString(),
         [&] { FetchAndUnpack(Context(), layer); });
  });
}

PullResult Transfer::Impl::Pull(const oci::Reference& reference,
                                const oci::Platform& platform,
                                PullPolicy policy) {
  const auto before = store_.images().Find(reference.ToString());
  PullResult result{Resolve(reference, platform, policy), false};
  const plan::ResolvedImage& image = result.image;
  // An index has nothing else to offer; a build has a check of its own.
  if (options_.warn && image.target == image.manifest &&
      !oci::MatchRank(platform, image.config.platform)) {
    options_.warn(fmt::format("{} is for {}, not for {}", reference.Familiar(),
                              image.config.platform.ToString(),
                              platform.ToString()));
  }
  EnsureUnpacked(LayersOf(image));
  result.up_to_date = before && before->name &&
                      before->name->target == image.target &&
                      before->image.manifest == image.manifest;
  store_.images().PutImage(RecordImage(store_, image));
  store::NameRecord name{reference.repository(), reference.tag(), image.target,
                         image.manifest,         std::nullopt,    true};
  if (reference.digest()) {
    // The digest decides; the tag beside it is remembered, not moved.
    name.tag_hint = reference.tag();
    name.tag.reset();
  }
  store_.images().SetName(name);
  return result;
}

Transfer::Transfer(store::Store& store, registry::Client& client,
                   TransferOptions options, const CancelToken& cancel)
    : impl_(std::make_unique<Impl>(store, client, std::move(options), cancel)) {
}
Transfer::~Transfer() = default;

plan::ResolvedImage Transfer::Resolve(const oci::Reference& reference,
                                      const oci::Platform& platform,
                                      PullPolicy policy) {
  return impl_->Resolve(reference, platform, policy);
}
void Transfer::EnsureBlobs(const std::vector<LayerName>& layers) {
  impl_->EnsureBlobs(layers);
}
void Transfer::EnsureUnpacked(const std::vector<LayerName>& layers) {
  impl_->EnsureUnpacked(layers);
}
PullResult Transfer::Pull(const oci::Reference& reference,
                          const oci::Platform& platform, PullPolicy policy) {
  return impl_->Pull(reference, platform, policy);
}

}  // namespace imgbuild::transfer
