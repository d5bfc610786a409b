#include "build/assemble.h"

#include <gtest/gtest.h>

namespace imgbuild::build {
namespace {

transfer::LayerName Layer(const std::string& text, const std::string& type) {
  return {oci::DiffId(oci::Digest::OfBytes(text)),
          {type, oci::Digest::OfBytes("gz" + text), 10, {}, {}, {}, {}}};
}

// One layer of a base with Docker's types, one of a step, one step that made
// none.
plan::BuildGraph Graph() {
  plan::BuildGraph graph;
  graph.image.config.platform = oci::Platform::Parse("linux/amd64");
  graph.image.config.history.push_back(
      {"2020-01-01T00:00:00Z", "base", "", "", false});
  graph.image.config.diff_ids.push_back(
      oci::DiffId(oci::Digest::OfBytes("base")));
  graph.image.steps = {{{{}, "RUN a", "", "", false}, 0},
                       {{{}, "ENV b", "", "", true}, std::nullopt},
                       {{{}, "RUN c", "", "", false}, 1}};
  graph.image.result = 1;
  return graph;
}

std::vector<VertexResult> Results() {
  std::vector<VertexResult> results(2);
  const auto base =
      Layer("base", std::string(oci::media_type::kDockerLayerGzip));
  const auto made = Layer("a", std::string(oci::media_type::kOciLayerGzip));
  results[0].layers = LayerChain({base, made});
  results[0].own = store::StoredLayer{made.diff_id, made.blob, 20};
  results[1].layers = results[0].layers;
  return results;
}

TEST(AssembleTest, LayersHistoryAndDigestsBelongTogether) {
  const BuildResult result = Assemble(Graph(), Results());
  const oci::ImageConfig config = oci::ParseImageConfig(result.config);
  EXPECT_EQ(config.diff_ids.size(), 2u);
  ASSERT_EQ(config.history.size(), 4u);
  EXPECT_EQ(config.history[0].created, "2020-01-01T00:00:00Z");
  EXPECT_FALSE(config.history[1].empty_layer);
  EXPECT_TRUE(config.history[2].empty_layer);
  EXPECT_TRUE(config.history[3].empty_layer);  // it changed nothing
  EXPECT_EQ(result.image_id.digest(), oci::Digest::OfBytes(result.config));
  EXPECT_EQ(result.manifest.digest,
            oci::Digest::OfBytes(result.manifest.bytes));
  EXPECT_EQ(result.manifest.manifest->config.digest, result.image_id.digest());
  EXPECT_EQ(result.manifest.manifest->config.size, result.config.size());
}

TEST(AssembleTest, TheManifestIsOcisWhateverTheBaseIs) {
  const BuildResult result = Assemble(Graph(), Results());
  EXPECT_EQ(result.manifest.media_type, oci::media_type::kOciManifest);
  for (const oci::Descriptor& layer : result.manifest.manifest->layers) {
    EXPECT_EQ(layer.media_type, oci::media_type::kOciLayerGzip);
  }
}

TEST(AssembleTest, TheSameBytesEachTime) {
  EXPECT_EQ(Assemble(Graph(), Results()).manifest.bytes,
            Assemble(Graph(), Results()).manifest.bytes);
}

}  // namespace
}  // namespace imgbuild::build
