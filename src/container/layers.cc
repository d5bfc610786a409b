#include "container/layers.h"

#include <fmt/format.h>

#include <algorithm>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"

namespace imgbuild::container {
namespace {

std::vector<transfer::LayerName> LayersOf(store::Store& store,
                                          const store::ContainerRecord& record,
                                          const oci::ImageConfig& image) {
  const auto bytes =
      store.content().Read(record.manifest, oci::kMaxManifestBytes);
  if (!bytes) {
    throw Error(ErrorCode::kHost,
                fmt::format("the manifest of the image of container {} is gone "
                            "from the store",
                            record.name))
        .WithHint("pull or build the image again");
  }
  const oci::Document document = oci::ParseDocument(*bytes, "");
  std::vector<transfer::LayerName> layers;
  if (!document.manifest) return layers;
  for (size_t i = 0; i < document.manifest->layers.size(); ++i) {
    layers.push_back({image.diff_ids.at(i), document.manifest->layers[i]});
  }
  return layers;
}

}  // namespace

void EnsureLayers(const Engine& engine, const store::ContainerRecord& record,
                  const oci::ImageConfig& image) {
  store::Store& store = engine.containers.store();
  const auto unpacked = [&](const oci::DiffId& id) {
    return store.snapshots().Has(id);
  };
  if (std::ranges::all_of(image.diff_ids, unpacked)) return;
  engine.transfer().EnsureUnpacked(LayersOf(store, record, image));
}

}  // namespace imgbuild::container
