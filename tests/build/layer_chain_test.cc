#include "build/layer_chain.h"

#include <gtest/gtest.h>

#include "support/memory_snapshotter.h"

namespace imgbuild::build {
namespace {

transfer::LayerName Layer(const std::string& text) {
  return {oci::DiffId(oci::Digest::OfBytes(text)),
          {"type", oci::Digest::OfBytes("blob " + text), 1, {}, {}, {}, {}}};
}

TEST(LayerChainTest, IsItsLayersBottomFirst) {
  const std::vector<transfer::LayerName> layers = {Layer("a"), Layer("b"),
                                                   Layer("c")};
  const LayerChain two({layers[0], layers[1]});
  const LayerChain three = two.With(layers[2]);
  EXPECT_EQ(three.Layers(), layers);
  EXPECT_EQ(two.Layers().size(), 2u);
  std::vector<oci::DiffId> ids;
  for (const auto& layer : layers) ids.push_back(layer.diff_id);
  EXPECT_EQ(three.DiffIds(), ids);
  EXPECT_EQ(three.Key(), oci::ChainOf(ids)->ToString());
  EXPECT_EQ(LayerChain({layers[0]}).Key(), ids[0].ToString());
  EXPECT_TRUE(LayerChain().empty());
  EXPECT_EQ(LayerChain().Key(), "");
}

TEST(LayerChainTest, AVeryLongOneGoesWithoutRecursion) {
  LayerChain chain;
  for (int i = 0; i < 200'000; ++i) chain = chain.With(Layer("x"));
  chain = LayerChain();
  EXPECT_TRUE(chain.empty());
}

// Counts how trees are made; can grow any.
class CountingSnapshotter : public store::MemorySnapshotter {
 public:
  std::shared_ptr<const FileTree> View(
      const std::vector<oci::DiffId>& chain) override {
    ++views;
    return MemorySnapshotter::View(chain);
  }
  std::shared_ptr<const FileTree> ViewOn(const FileTree&,
                                         const oci::DiffId& layer) override {
    ++grown;
    return grows ? MemorySnapshotter::View({layer}) : nullptr;
  }
  int views = 0;
  int grown = 0;
  bool grows = true;
};

class TreeCacheTest : public testing::Test {
 protected:
  LayerChain Grow(const LayerChain& chain, const std::string& text) {
    const auto name = Layer(text);
    snapshots_.Begin()->Commit(name.diff_id, {});
    return chain.With(name);
  }
  CountingSnapshotter snapshots_;
  TreeCache trees_{2};
};

TEST_F(TreeCacheTest, OneLayerMoreCostsOneLayer) {
  LayerChain chain;
  for (int i = 0; i < 20; ++i) {
    chain = Grow(chain, std::to_string(i));
    trees_.Get(snapshots_, chain);
  }
  EXPECT_EQ(snapshots_.views, 1);
  EXPECT_EQ(snapshots_.grown, 19);
  // The same again costs nothing.
  const auto tree = trees_.Get(snapshots_, chain);
  EXPECT_EQ(trees_.Get(snapshots_, chain), tree);
  EXPECT_EQ(snapshots_.views + snapshots_.grown, 20);
}

TEST_F(TreeCacheTest, LayersThatNobodyReadAreCaughtUp) {
  const LayerChain low = Grow(LayerChain(), "low");
  trees_.Get(snapshots_, low);
  trees_.Get(snapshots_, Grow(Grow(Grow(low, "a"), "b"), "c"));
  EXPECT_EQ(snapshots_.views, 1);
  EXPECT_EQ(snapshots_.grown, 3);
}

TEST_F(TreeCacheTest, WhatCannotGrowIsMadeWhole) {
  snapshots_.grows = false;
  const LayerChain low = Grow(LayerChain(), "low");
  trees_.Get(snapshots_, low);
  trees_.Get(snapshots_, Grow(low, "high"));
  EXPECT_EQ(snapshots_.views, 2);
}

TEST_F(TreeCacheTest, TheOldestGoes) {
  const LayerChain a = Grow(LayerChain(), "a");
  const std::weak_ptr<const FileTree> first = trees_.Get(snapshots_, a);
  trees_.Get(snapshots_, Grow(LayerChain(), "b"));
  EXPECT_FALSE(first.expired());
  trees_.Get(snapshots_, Grow(LayerChain(), "c"));
  EXPECT_TRUE(first.expired());
}

}  // namespace
}  // namespace imgbuild::build
