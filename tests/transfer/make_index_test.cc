#include "transfer/copy_fixture.h"

namespace imgbuild::transfer {
namespace {

class MakeIndexTest : public CopyFixture {
 protected:
  // "TYPE: PLATFORM DIGEST, …" with digests by their images' names.
  std::string Made(const std::vector<std::string>& names,
                   const std::map<std::string, std::string>& annotations = {}) {
    sources_.clear();
    std::vector<IndexPart> parts;
    for (const std::string& name : names) {
      sources_.push_back(From(name));
      parts.push_back({sources_.back().get(), sources_.back()->Root()});
    }
    made_ = MakeIndex(parts, annotations);
    std::string out;
    for (const oci::Descriptor& entry : made_->index->manifests) {
      if (!out.empty()) out += ", ";
      out += entry.platform ? entry.platform->ToString() : "none";
      out += entry.digest.ToString() == image_ ? " image" : " other";
    }
    return out;
  }
  std::vector<std::unique_ptr<ImageSource>> sources_;
  std::optional<oci::Document> made_;
};

TEST_F(MakeIndexTest, ASingleImagesPlatformIsInItsConfig) {
  EXPECT_EQ(Made({"r.example/a/b:t"}), "linux/amd64 image");
  EXPECT_EQ(made_->media_type, kIndexType);
  EXPECT_EQ(made_->bytes,
            R"({"schemaVersion":2,"mediaType":")" + std::string(kIndexType) +
                R"(","manifests":[{"mediaType":)"
                R"("application/vnd.oci.image.manifest.v1+json","digest":")" +
                image_ + R"(","size":)" +
                std::to_string(home_.Manifest("a/b", "t").size()) +
                R"(,"platform":{"architecture":"amd64","os":"linux"}}]})");
}

TEST_F(MakeIndexTest, IndexesAreOpenedAndTheSameImageCountsOnce) {
  AddIndex();
  EXPECT_EQ(Made({"r.example/a/b:t", "r.example/a/b:multi"}),
            "linux/amd64 image, linux/arm64 other");
}

TEST_F(MakeIndexTest, AnIndexInAnIndexIsOpenedToo) {
  const std::string inner = AddIndex();
  home_.AddManifest(
      "a/b", "outer",
      R"({"schemaVersion":2,"mediaType":")" + std::string(kIndexType) +
          R"(","manifests":[{"mediaType":")" + kIndexType + R"(","digest":")" +
          inner + R"(","size":)" +
          std::to_string(home_.Manifest("a/b", inner).size()) + "}]}",
      kIndexType);
  EXPECT_EQ(Made({"r.example/a/b:outer"}),
            "linux/amd64 image, linux/arm64 other");
}

TEST_F(MakeIndexTest, AnEntryWithoutAPlatformGetsItsConfigs) {
  home_.AddManifest(
      "a/b", "bare",
      R"({"schemaVersion":2,"mediaType":")" + std::string(kIndexType) +
          R"(","manifests":[{"mediaType":)"
          R"("application/vnd.oci.image.manifest.v1+json","digest":")" +
          image_ + R"(","size":)" +
          std::to_string(home_.Manifest("a/b", "t").size()) + "}]}",
      kIndexType);
  EXPECT_EQ(Made({"r.example/a/b:bare"}), "linux/amd64 image");
}

TEST_F(MakeIndexTest, TwoImagesOfOnePlatformAreRefused) {
  home_.AddImage("a/b", "u", "something else");
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] {
                      Made({"r.example/a/b:t", "r.example/a/b:u"});
                    }),
            "two images for linux/amd64: one of r.example/a/b:t, one of "
            "r.example/a/b:u");
}

TEST_F(MakeIndexTest, AnnotationsAreTheIndexs) {
  Made({"r.example/a/b:t"}, {{"a", "1"}});
  EXPECT_EQ(made_->index->annotations.at("a"), "1");
}

TEST_F(MakeIndexTest, DockersImagesMakeDockersList) {
  std::string manifest = home_.Manifest("a/b", "t");
  const std::string type =
      "application/vnd.docker.distribution.manifest.v2+json";
  for (const auto& [from, to] :
       {std::pair("application/vnd.oci.image.manifest.v1+json", type.c_str()),
        std::pair("application/vnd.oci.image.config.v1+json",
                  "application/vnd.docker.container.image.v1+json")}) {
    manifest.replace(manifest.find(from), std::string(from).size(), to);
  }
  home_.AddManifest("a/b", "docker", manifest, type);
  Made({"r.example/a/b:docker"});
  EXPECT_EQ(made_->media_type,
            "application/vnd.docker.distribution.manifest.list.v2+json");
  Made({"r.example/a/b:docker"}, {{"a", "1"}});
  EXPECT_EQ(made_->media_type, kIndexType);
}

TEST_F(MakeIndexTest, WhatTheRepositoryLacksIsCopiedFirst) {
  AddIndex();
  Made({"r.example/a/b:multi"});
  const auto target = To("other.example/x/y:1");
  CopyImages(*sources_[0], *target, sources_[0]->Root(), {}, cancel_);
  target->Name(*made_);
  EXPECT_EQ(other_.Manifest("x/y", "1"), made_->bytes);
  EXPECT_EQ(other_.Manifest("x/y", image_), home_.Manifest("a/b", image_));
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
}

}  // namespace
}  // namespace imgbuild::transfer
