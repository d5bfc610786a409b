#include "imgbuild/container/mounts.h"

#include "imgbuild/exec/root_mount.h"

#include "container/layers.h"

namespace imgbuild::container {
namespace {

std::optional<Mounted> ToMounted(store::Store& store,
                                 std::optional<store::MountRecord> record) {
  if (!record) return std::nullopt;
  std::string path = store.mounts().MountPoint(record->id);
  if (!exec::IsMountPoint(path)) return std::nullopt;
  return Mounted{std::move(*record), std::move(path)};
}

// `directory` is where the writable part is: the container's, or for an image
// an empty one.
std::string Mount(store::Store& store, const store::MountRecord& record,
                  const std::vector<oci::DiffId>& chain,
                  const std::string& directory) {
  store::MountStore& mounts = store.mounts();
  std::string path = mounts.MountPoint(record.id);
  // The record first: from then on nothing of it is swept.
  mounts.Add(record);
  if (exec::IsMountPoint(path)) return path;
  try {
    const auto active = store.snapshots().PrepareIn(chain, directory);
    exec::MountReadOnly(active->mount(), path, store.root() + "/containers");
  } catch (...) {
    mounts.Remove(record.id);
    throw;
  }
  return path;
}

}  // namespace

std::string MountId(const store::ImageRecord& image) {
  return image.manifest.hex().substr(0, 64);
}

std::string MountImage(const Engine& engine, const store::ImageRecord& image,
                       const std::string& reference) {
  store::Store& store = engine.containers.store();
  const auto lease = store.Hold();
  std::vector<transfer::LayerName> layers;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    layers.push_back({image.diff_ids.at(i), image.layers[i]});
  }
  engine.transfer().EnsureUnpacked(layers);
  const store::MountRecord record{MountId(image), false, image.manifest,
                                  image.id, reference};
  return Mount(store, record, image.diff_ids,
               store.mounts().Directory(record.id));
}

std::string MountContainer(const Engine& engine, const Container& container) {
  Containers& containers = engine.containers;
  store::Store& store = containers.store();
  const auto lease = store.Hold();
  const oci::ImageConfig image = containers.ImageConfigOf(container.record);
  EnsureLayers(engine, container.record, image);
  const store::MountRecord record{
      container.record.id, true, container.record.manifest,
      container.record.image, container.record.name};
  return Mount(store, record, image.diff_ids,
               containers.Directory(container.record.id));
}

std::optional<Mounted> FindMounted(store::Store& store, const std::string& id) {
  return ToMounted(store, store.mounts().Find(id));
}

std::optional<Mounted> FindMounted(store::Store& store,
                                   const store::ImageRecord& image) {
  return FindMounted(store, MountId(image));
}

std::vector<Mounted> ListMounted(store::Store& store) {
  std::vector<Mounted> out;
  for (store::MountRecord& record : store.mounts().List()) {
    if (auto mounted = ToMounted(store, std::move(record))) {
      out.push_back(std::move(*mounted));
    }
  }
  return out;
}

bool Unmount(store::Store& store, const std::string& id, bool force) {
  store::MountStore& mounts = store.mounts();
  if (!mounts.Find(id)) return false;
  const bool was_mounted = exec::UnmountRoot(mounts.MountPoint(id), force);
  mounts.Remove(id);
  return was_mounted;
}

}  // namespace imgbuild::container
