#include "build/assemble.h"

#include "imgbuild/util/clock.h"
#include "imgbuild/util/error.h"

namespace imgbuild::build {
namespace {

// Our manifests are OCI's: a layer that came under Docker's name of the same
// bytes gets OCI's.
oci::Descriptor AsOciLayer(const oci::Descriptor& layer) {
  oci::Descriptor out = layer;
  if (layer.media_type == oci::media_type::kDockerLayerGzip) {
    out.media_type = oci::media_type::kOciLayerGzip;
  } else if (layer.media_type ==
             "application/vnd.docker.image.rootfs.diff.tar.zstd") {
    out.media_type = oci::media_type::kOciLayerZstd;
  } else if (layer.media_type ==
             "application/vnd.docker.image.rootfs.diff.tar") {
    out.media_type = oci::media_type::kOciLayerTar;
  }
  out.platform.reset();
  return out;
}

}  // namespace

BuildResult Assemble(const plan::BuildGraph& graph,
                     const std::vector<VertexResult>& results,
                     const std::map<std::string, std::string>& annotations) {
  oci::ImageConfig config = graph.image.config;
  const std::vector<transfer::LayerName> layers =
      results[graph.image.result].layers.Layers();
  config.diff_ids.clear();
  oci::Manifest manifest{std::string(oci::media_type::kOciManifest),
                         {std::string(oci::media_type::kOciConfig),
                          oci::Digest::OfBytes(""),
                          0,
                          {},
                          {},
                          {},
                          {}},
                         {},
                         annotations,
                         {},
                         {}};
  for (const transfer::LayerName& layer : layers) {
    config.diff_ids.push_back(layer.diff_id);
    manifest.layers.push_back(AsOciLayer(layer.blob));
  }
  for (const plan::ImageTemplate::Step& step : graph.image.steps) {
    oci::History history = step.history;
    // A step that changed nothing made no layer.
    if (step.vertex && !results[*step.vertex].own) history.empty_layer = true;
    config.history.push_back(std::move(history));
  }
  std::string config_bytes = oci::Serialize(config);
  manifest.config.digest = oci::Digest::OfBytes(config_bytes);
  manifest.config.size = config_bytes.size();
  const oci::ImageId image_id(manifest.config.digest);
  oci::Document document = oci::ParseDocument(oci::Serialize(manifest),
                                              oci::media_type::kOciManifest);
  return BuildResult{std::move(document),
                     std::move(config_bytes),
                     image_id,
                     layers,
                     config.platform,
                     false,
                     0,
                     0};
}

void Record(store::Store& store, BuildResult& result) {
  const oci::Digest& digest = result.manifest.digest;
  result.unchanged = store.images().FindManifest(digest).has_value();
  store.content().Put(result.config);
  store.content().Put(result.manifest.bytes);
  const plan::ResolvedImage image{
      oci::Reference::Parse("built@" + digest.ToString()),
      digest,
      digest,
      result.image_id.digest(),
      oci::ParseImageConfig(result.config),
      result.manifest.manifest->layers};
  store.images().PutImage(transfer::RecordImage(store, image));
}

void MoveTags(store::Store& store, const BuildResult& result,
              const std::vector<oci::Reference>& tags) {
  const oci::Digest& digest = result.manifest.digest;
  for (const oci::Reference& tag : tags) {
    const oci::Reference name = tag.WithDefaultTag();
    store.images().SetName(
        {name.repository(), name.tag(), digest, digest, std::nullopt, false});
  }
}

}  // namespace imgbuild::build
