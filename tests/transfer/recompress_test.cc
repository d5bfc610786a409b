#include "imgbuild/transfer/recompress.h"

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/compress.h"
#include "imgbuild/oci/image_config.h"

#include "transfer/copy_fixture.h"

namespace imgbuild::transfer {
namespace {

class RecompressTest : public CopyFixture {
 protected:
  oci::Document Recompressed(const std::string& name,
                             oci::Compression compression,
                             std::optional<int> level = std::nullopt) {
    const auto source = From(name);
    return Recompress(*source, *store_, source->Root(), {compression, level},
                      pool_, cancel_);
  }
  // The layer's bytes as they are in the store, unpacked.
  std::string Plain(const oci::Descriptor& layer) {
    const auto file = store_->content().Open(layer.digest);
    FdReader reader(file->get(), "layer");
    const auto plain =
        layer::Decompress(reader, *oci::LayerCompression(layer.media_type));
    return ReadAll(*plain, 1u << 20, "layer");
  }
  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  ThreadPool pool_{2};
};

TEST_F(RecompressTest, TheTarStaysAndTheDigestIsNew) {
  const oci::Document made =
      Recompressed("r.example/a/b:t", oci::Compression::kZstd);
  EXPECT_NE(made.digest.ToString(), image_);
  const oci::Document before =
      oci::ParseDocument(home_.Manifest("a/b", "t"), "");
  EXPECT_EQ(made.manifest->config, before.manifest->config);
  const oci::Descriptor& layer = made.manifest->layers.at(0);
  EXPECT_EQ(layer.media_type, oci::media_type::kOciLayerZstd);
  EXPECT_EQ(store_->content().Size(layer.digest), layer.size);
  EXPECT_EQ(Plain(layer), layer_);
  // Again: the same.
  EXPECT_EQ(Recompressed("r.example/a/b:t", oci::Compression::kZstd).digest,
            made.digest);
  EXPECT_NE(Recompressed("r.example/a/b:t", oci::Compression::kZstd, 19).digest,
            made.digest);
}

TEST_F(RecompressTest, WhatHasTheCompressionStays) {
  EXPECT_EQ(Recompressed("r.example/a/b:t", oci::Compression::kNone)
                .digest.ToString(),
            image_);
}

TEST_F(RecompressTest, AllOfAnIndex) {
  const std::string index = AddIndex();
  const oci::Document made =
      Recompressed("r.example/a/b:multi", oci::Compression::kGzip);
  EXPECT_NE(made.digest.ToString(), index);
  ASSERT_EQ(made.index->manifests.size(), 2U);
  EXPECT_EQ(made.index->manifests[1].platform->architecture, "arm64");
  for (const oci::Descriptor& entry : made.index->manifests) {
    const auto bytes = store_->content().Read(entry.digest, 1u << 20);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(bytes->size(), entry.size);
    EXPECT_EQ(oci::ParseDocument(*bytes, "").manifest->layers[0].media_type,
              oci::media_type::kOciLayerGzip);
  }
}

TEST_F(RecompressTest, DockersManifestKeepsItsTypesWhileItHasThem) {
  std::string manifest = home_.Manifest("a/b", "t");
  for (const auto& [from, to] :
       {std::pair("application/vnd.oci.image.manifest.v1+json",
                  "application/vnd.docker.distribution.manifest.v2+json"),
        std::pair("application/vnd.oci.image.config.v1+json",
                  "application/vnd.docker.container.image.v1+json"),
        std::pair("application/vnd.oci.image.layer.v1.tar",
                  "application/vnd.docker.image.rootfs.diff.tar")}) {
    manifest.replace(manifest.find(from), std::string(from).size(), to);
  }
  home_.AddManifest("a/b", "docker", manifest,
                    "application/vnd.docker.distribution.manifest.v2+json");
  const oci::Document gzip =
      Recompressed("r.example/a/b:docker", oci::Compression::kGzip);
  EXPECT_EQ(gzip.media_type, oci::media_type::kDockerManifest);
  EXPECT_EQ(gzip.manifest->layers[0].media_type,
            oci::media_type::kDockerLayerGzip);
  const oci::Document zstd =
      Recompressed("r.example/a/b:docker", oci::Compression::kZstd);
  EXPECT_EQ(zstd.media_type, oci::media_type::kOciManifest);
  EXPECT_EQ(zstd.manifest->config.media_type, oci::media_type::kOciConfig);
}

TEST_F(RecompressTest, ALayerThatIsSomethingElseIsNotPassedOn) {
  std::string config =
      home_.Blob("a/b", oci::ParseDocument(home_.Manifest("a/b", "t"), "")
                            .manifest->config.digest.ToString());
  // The image of another tar with this layer.
  const std::string other = oci::Digest::OfBytes("other").ToString();
  config.replace(config.find(LayerDigest()), other.size(), other);
  std::string manifest = home_.Manifest("a/b", "t");
  const auto old = oci::ParseDocument(manifest, "").manifest->config.digest;
  const std::string now = home_.AddBlob("a/b", config);
  manifest.replace(manifest.find(old.ToString()), now.size(), now);
  home_.AddManifest("a/b", "bad", manifest,
                    "application/vnd.oci.image.manifest.v1+json");
  EXPECT_EQ(
      Message(
          ErrorCode::kRegistry,
          [&] { Recompressed("r.example/a/b:bad", oci::Compression::kGzip); }),
      "layer " + LayerDigest() + " does not unpack to " + other +
          ", which the image config says");
}

}  // namespace
}  // namespace imgbuild::transfer
