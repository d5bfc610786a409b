#include "support/memory_snapshotter.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "store/upper_normalizer.h"
#include "support/layer_tree.h"
#include "support/merged_tree.h"

namespace imgbuild::store {

struct MemorySnapshotter::Layer {
  explicit Layer(fs::TempDir temp)
      : dir(std::move(temp)),
        files(fs::OpenDir(dir.fd(), "fs")),
        tree(std::make_shared<DirTree>(files.get())) {}
  fs::TempDir dir;
  UniqueFd files;
  std::shared_ptr<const DirTree> tree;
  layer::ExtractResult result;
};

namespace {

// A merged tree that holds its layers.
class HoldingTree : public MergedTree {
 public:
  HoldingTree(const std::vector<MergedLayer>& layers, const std::string& xattr,
              std::vector<std::shared_ptr<void>> held)
      : MergedTree(layers, xattr), held_(std::move(held)) {}

 private:
  std::vector<std::shared_ptr<void>> held_;
};

}  // namespace

class MemorySnapshotter::Pending : public PendingLayer {
 public:
  explicit Pending(std::shared_ptr<Layers> layers)
      : layers_(std::move(layers)),
        dir_(fs::TempDir::InTmp("imgbuild-layer-")) {
    fs::MakeDir(dir_.fd(), "fs", 0755);
    files_ = fs::OpenDir(dir_.fd(), "fs");
  }
  int fd() const override { return files_.get(); }
  void Commit(const oci::DiffId& diff_id,
              const layer::ExtractResult& result) override {
    auto layer = std::make_shared<Layer>(std::move(dir_));
    layer->result = result;
    layers_->emplace(diff_id, std::move(layer));
  }

 private:
  std::shared_ptr<Layers> layers_;
  fs::TempDir dir_;
  UniqueFd files_;
};

class MemorySnapshotter::Step : public Active {
 public:
  Step(std::shared_ptr<Layers> layers, std::string opaque_xattr,
       std::shared_ptr<const FileTree> lower, OverlayMount mount,
       const std::string& directory, std::optional<fs::TempDir> owned)
      : layers_(std::move(layers)),
        opaque_xattr_(std::move(opaque_xattr)),
        lower_(std::move(lower)),
        mount_(std::move(mount)),
        dir_(fs::OpenDir(AT_FDCWD, directory)),
        upper_(fs::OpenDir(dir_.get(), "fs")),
        owned_(std::move(owned)) {}
  const OverlayMount& mount() const override { return mount_; }
  int upper_fd() const override { return upper_.get(); }
  std::shared_ptr<const FileTree> lower() const override { return lower_; }
  void Commit(const oci::DiffId& diff_id,
              std::optional<int64_t> epoch) override {
    if (epoch) NormalizeUpper(upper_.get(), *lower_, opaque_xattr_, *epoch);
    fs::TempDir dir = fs::TempDir::InTmp("imgbuild-step-");
    fs::Rename(dir_.get(), "fs", dir.fd(), "fs");
    layers_->emplace(diff_id, std::make_shared<Layer>(std::move(dir)));
  }

 private:
  std::shared_ptr<Layers> layers_;
  std::string opaque_xattr_;
  std::shared_ptr<const FileTree> lower_;
  OverlayMount mount_;
  UniqueFd dir_;
  UniqueFd upper_;
  std::optional<fs::TempDir> owned_;
};

MemorySnapshotter::MemorySnapshotter()
    : opaque_xattr_(OpaqueXattrHere()), layers_(std::make_shared<Layers>()) {}
MemorySnapshotter::~MemorySnapshotter() = default;

bool MemorySnapshotter::Has(const oci::DiffId& diff_id) const {
  return layers_->contains(diff_id);
}

std::unique_ptr<PendingLayer> MemorySnapshotter::Begin() {
  return std::make_unique<Pending>(layers_);
}

std::shared_ptr<const FileTree> MemorySnapshotter::View(
    const std::vector<oci::DiffId>& chain) {
  std::vector<MergedLayer> merged;
  std::vector<std::shared_ptr<void>> held;
  for (const oci::DiffId& id : chain) {
    const auto it = layers_->find(id);
    if (it == layers_->end()) {
      throw Error(ErrorCode::kHost,
                  "layer " + id.ToString() + " is not unpacked in the store");
    }
    merged.push_back(
        {it->second->tree, it->second->files.get(), it->second->result});
    held.push_back(it->second);
  }
  return std::make_shared<HoldingTree>(merged, opaque_xattr(), std::move(held));
}

std::unique_ptr<Active> MemorySnapshotter::Make(
    const std::vector<oci::DiffId>& chain, const std::string& directory) {
  auto lower = View(chain);
  fs::MakeDirs(AT_FDCWD, directory + "/fs", 0755);
  fs::MakeDirs(AT_FDCWD, directory + "/work", 0755);
  OverlayMount mount;
  for (const oci::DiffId& id : chain) {
    mount.lower.insert(mount.lower.begin(),
                       layers_->at(id)->dir.path() + "/fs");
  }
  if (mount.lower.empty()) {
    fs::MakeDirs(AT_FDCWD, directory + "/empty", 0755);
    mount.lower.push_back(directory + "/empty");
  }
  mount.upper = directory + "/fs";
  mount.work = directory + "/work";
  mount.user_xattr = opaque_xattr().starts_with("user.");
  return std::make_unique<Step>(layers_, opaque_xattr(), std::move(lower),
                                std::move(mount), directory, std::nullopt);
}

std::unique_ptr<Active> MemorySnapshotter::Prepare(
    const std::vector<oci::DiffId>& chain) {
  fs::TempDir dir = fs::TempDir::InTmp("imgbuild-run-");
  const std::string path = dir.path();
  const auto active = Make(chain, path);
  return std::make_unique<Step>(layers_, opaque_xattr(), active->lower(),
                                active->mount(), path, std::move(dir));
}

std::unique_ptr<Active> MemorySnapshotter::PrepareIn(
    const std::vector<oci::DiffId>& chain, const std::string& directory) {
  return Make(chain, directory);
}

bool MemorySnapshotter::Remove(const oci::DiffId& diff_id) {
  const auto it = layers_->find(diff_id);
  if (it == layers_->end()) return true;
  if (it->second.use_count() > 1) return false;
  layers_->erase(it);
  return true;
}

std::vector<oci::DiffId> MemorySnapshotter::List() const {
  std::vector<oci::DiffId> ids;
  for (const auto& [id, layer] : *layers_) ids.push_back(id);
  return ids;
}

std::string MemorySnapshotter::opaque_xattr() const { return opaque_xattr_; }

}  // namespace imgbuild::store
