#include "imgbuild/transfer/import.h"

#include "imgbuild/layer/codec.h"
#include "imgbuild/util/error.h"

#include "transfer/sniffed.h"

namespace imgbuild::transfer {

plan::ResolvedImage ImportRoot(store::Store& store, Transfer& transfer,
                               Reader& input, oci::ImageConfig config) {
  Sniffed packed(input);
  const auto plain =
      layer::DecompressAny(packed, layer::SniffCompression(packed.head()));
  Sniffed tar(*plain);
  if (!layer::LooksLikeTar(tar.head())) {
    throw Error(ErrorCode::kRegistry, "import: this is no tar archive");
  }
  auto ingest = store.content().Begin(std::nullopt, std::nullopt);
  const uint64_t size = CopyAll(tar, *ingest);
  const oci::Digest digest = ingest->Commit();

  config.diff_ids = {oci::DiffId(digest)};
  const std::string config_bytes = oci::Serialize(config);
  const oci::Digest config_digest = store.content().Put(config_bytes);
  const oci::Manifest manifest{std::string(oci::media_type::kOciManifest),
                               {std::string(oci::media_type::kOciConfig),
                                config_digest,
                                config_bytes.size(),
                                {},
                                {},
                                {},
                                {}},
                               {{std::string(oci::media_type::kOciLayerTar),
                                 digest,
                                 size,
                                 {},
                                 {},
                                 {},
                                 {}}},
                               {},
                               {},
                               {}};
  const oci::Digest manifest_digest =
      store.content().Put(oci::Serialize(manifest));
  plan::ResolvedImage image{oci::Reference::Parse("imported"),
                            manifest_digest,
                            manifest_digest,
                            config_digest,
                            config,
                            manifest.layers};
  transfer.EnsureUnpacked(LayersOf(image));
  store.images().PutImage(RecordImage(store, image));
  return image;
}

}  // namespace imgbuild::transfer
