#include "build/layer_chain.h"

#include <algorithm>
#include <atomic>
#include <optional>

namespace imgbuild::build {

struct LayerChain::Link {
  Link(std::shared_ptr<Link> lower, transfer::LayerName name)
      : below(std::move(lower)),
        layer(std::move(name)),
        id(below ? oci::ChainOf(below->id, layer.diff_id)
                 : oci::ChainId(layer.diff_id.digest())) {}
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  // Without recursion: a Dockerfile may have very many steps.
  ~Link() {
    while (below && below.use_count() == 1) {
      std::shared_ptr<Link> next = std::move(below->below);
      below = std::move(next);
    }
  }

  std::shared_ptr<Link> below;
  const transfer::LayerName layer;
  const oci::ChainId id;
  std::atomic<bool> unpacked{false};
};

LayerChain::LayerChain(const std::vector<transfer::LayerName>& layers) {
  for (const transfer::LayerName& layer : layers) {
    top_ = std::make_shared<Link>(std::move(top_), layer);
  }
}

LayerChain LayerChain::With(transfer::LayerName layer) const {
  LayerChain chain;
  chain.top_ = std::make_shared<Link>(top_, std::move(layer));
  return chain;
}

std::vector<transfer::LayerName> LayerChain::Layers() const {
  std::vector<transfer::LayerName> layers;
  for (const Link* link = top_.get(); link; link = link->below.get()) {
    layers.push_back(link->layer);
  }
  std::ranges::reverse(layers);
  return layers;
}

std::vector<oci::DiffId> LayerChain::DiffIds() const {
  std::vector<oci::DiffId> ids;
  for (const Link* link = top_.get(); link; link = link->below.get()) {
    ids.push_back(link->layer.diff_id);
  }
  std::ranges::reverse(ids);
  return ids;
}

std::string LayerChain::Key() const { return top_ ? top_->id.ToString() : ""; }

void LayerChain::EnsureUnpacked(transfer::Transfer& transfer) const {
  std::vector<transfer::LayerName> layers;
  for (const Link* link = top_.get(); link && !link->unpacked;
       link = link->below.get()) {
    layers.push_back(link->layer);
  }
  if (layers.empty()) return;
  std::ranges::reverse(layers);
  transfer.EnsureUnpacked(layers);
  // A marked link has only marked ones below it, whoever reads meanwhile.
  std::vector<Link*> links;
  for (Link* link = top_.get(); link && !link->unpacked;
       link = link->below.get()) {
    links.push_back(link);
  }
  for (auto it = links.rbegin(); it != links.rend(); ++it) {
    (*it)->unpacked = true;
  }
}

TreeCache::TreePtr TreeCache::Find(const LayerChain::Link& link) {
  const std::string key = link.id.ToString();
  const std::lock_guard lock(mutex_);
  const auto it =
      std::ranges::find(trees_, key, &std::pair<std::string, TreePtr>::first);
  return it == trees_.end() ? nullptr : it->second;
}

void TreeCache::Put(const LayerChain::Link& link, const TreePtr& tree) {
  std::string key = link.id.ToString();
  const std::lock_guard lock(mutex_);
  std::erase_if(trees_, [&](const auto& item) { return item.first == key; });
  trees_.emplace_back(std::move(key), tree);
  if (trees_.size() > limit_) trees_.pop_front();
}

std::shared_ptr<const FileTree> TreeCache::Get(store::Snapshotter& snapshots,
                                               const LayerChain& chain) {
  // What stands on a tree that is known.
  std::vector<const LayerChain::Link*> above;
  TreePtr tree;
  for (const LayerChain::Link* link = chain.top_.get(); link && !tree;
       link = link->below.get()) {
    tree = Find(*link);
    if (!tree) above.push_back(link);
  }
  for (auto it = above.rbegin(); tree && it != above.rend(); ++it) {
    tree = snapshots.ViewOn(*tree, (*it)->layer.diff_id);
  }
  if (!tree) tree = snapshots.View(chain.DiffIds());
  if (chain.top_) Put(*chain.top_, tree);
  return tree;
}

}  // namespace imgbuild::build
