#include "imgbuild/transfer/copy.h"

#include "transfer/copy_fixture.h"

namespace imgbuild::transfer {
namespace {

using namespace testing;  // NOLINT: spoilers read as words
using registry::PushOutcome;

class CopyTest : public CopyFixture {};

TEST_F(CopyTest, ExactBytesUnderTheNewName) {
  EXPECT_EQ(Copied("r.example/a/b:t", "other.example/x/y:1"), image_);
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "t"));
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
  EXPECT_EQ(outcomes_, std::vector<PushOutcome>(2, PushOutcome::kUploaded));
  EXPECT_EQ(other_.open_uploads(), 0U);
}

TEST_F(CopyTest, AnIndexComesWithEverythingInIt) {
  const std::string index = AddIndex();
  EXPECT_EQ(Copied("r.example/a/b:multi", "other.example/x/y:1"), index);
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "multi"));
  EXPECT_EQ(other_.Manifest("x/y", image_), home_.Manifest("a/b", image_));
  EXPECT_EQ(outcomes_.size(), 4U);
}

TEST_F(CopyTest, OnePlatformOfAnIndexIsItsManifest) {
  AddIndex();
  CopyOptions options;
  options.platform = oci::Platform::Parse("linux/amd64");
  EXPECT_EQ(Copied("r.example/a/b:multi", "other.example/x/y:1", options),
            image_);
  EXPECT_EQ(outcomes_.size(), 2U);
  options.platform = oci::Platform::Parse("linux/s390x");
  EXPECT_EQ(Message(ErrorCode::kRegistry,
                    [&] {
                      Copied("r.example/a/b:multi", "other.example/x/y:1",
                             options);
                    }),
            "no image for platform linux/s390x in \"r.example/a/b:multi\": "
            "available: linux/amd64, linux/arm64");
}

TEST_F(CopyTest, ASingleImageForSomethingElseIsRefused) {
  CopyOptions options;
  options.platform = oci::Platform::Parse("linux/arm64");
  EXPECT_EQ(Message(ErrorCode::kRegistry,
                    [&] {
                      Copied("r.example/a/b:t", "other.example/x/y:1", options);
                    }),
            "r.example/a/b:t is for linux/amd64, not for linux/arm64");
}

TEST_F(CopyTest, WhatIsThereCostsOneQuestion) {
  Copied("r.example/a/b:t", "other.example/x/y:1");
  NewRequests();
  Copied("r.example/a/b:t", "other.example/x/y:2");
  EXPECT_EQ(NewRequests(),
            (std::vector<std::string>{
                "GET https://r.example/v2/a/b/manifests/t",
                "HEAD https://other.example/v2/x/y/manifests/" + image_,
                "PUT https://other.example/v2/x/y/manifests/2"}));
  EXPECT_EQ(outcomes_.size(), 0U);
}

TEST_F(CopyTest, InOneRegistryBlobsAreMounted) {
  Copied("r.example/a/b:t", "r.example/c/d:1");
  EXPECT_EQ(outcomes_, std::vector<PushOutcome>(
                           2, PushOutcome(PushOutcome::kMounted, "a/b")));
  for (const std::string& line : NewRequests()) {
    EXPECT_FALSE(line.starts_with("GET https://r.example/v2/a/b/blobs/"))
        << line;
  }
}

TEST_F(CopyTest, InOneRepositoryItIsATag) {
  Copied("r.example/a/b:t", "r.example/a/b:2");
  EXPECT_EQ(outcomes_.size(), 0U);
  EXPECT_EQ(home_.Manifest("a/b", "2"), home_.Manifest("a/b", "t"));
}

TEST_F(CopyTest, WithoutATagUnderTheDigest) {
  Copied("r.example/a/b:t", "other.example/x/y");
  EXPECT_EQ(other_.Manifest("x/y", image_), home_.Manifest("a/b", "t"));
  EXPECT_EQ(other_.Manifest("x/y", "latest"), "");
}

TEST_F(CopyTest, ABrokenDownloadGoesOnInTheMiddle) {
  proxy_.Add({"GET", LayerDigest(), 0, 1, CutAfter(100000)});
  Copied("r.example/a/b:t", "other.example/x/y:1");
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
  EXPECT_EQ(proxy_.spoiled(), 1);
}

// Pieces that do not fit together: the registry over there refuses them, or
// the stream begins again; the blob is right in the end.
TEST_F(CopyTest, AStreamThatMustBeginAgain) {
  proxy_.Add({"GET", LayerDigest(), 0, 1, CutAfter(100000)});
  proxy_.Add({"GET", LayerDigest(), 0, 1, Status(416)});
  Copied("r.example/a/b:t", "other.example/x/y:1");
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
}

TEST_F(CopyTest, AnUploadInChunksReadsFromTheMiddle) {
  other_.max_request = 100000;
  registry::ClientOptions options;
  options.chunk_bytes = 100000;
  ClientUnderTest chunked(transport_, clock_, options);
  const auto source = RegistrySource(
      *chunked.client, oci::Reference::Parse("r.example/a/b:t"), cancel_);
  const auto target =
      RegistryTarget(*chunked.client,
                     oci::Repository::Parse("other.example/x/y"), "1", cancel_);
  CopyTo(*source, *target);
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), layer_);
}

TEST_F(CopyTest, WrongBytesMoveNoTag) {
  proxy_.Add({"GET", LayerDigest(), 0, -1, FlipByte(5)});
  Message(ErrorCode::kRegistry,
          [&] { Copied("r.example/a/b:t", "other.example/x/y:1"); });
  EXPECT_EQ(other_.Manifest("x/y", "1"), "");
  EXPECT_EQ(other_.Blob("x/y", LayerDigest()), "");
}

TEST_F(CopyTest, AMissingPartOfAnIndexIsNamed) {
  AddIndex();
  proxy_.Add({"GET", "manifests/" + image_, 0, -1, Status(404)});
  try {
    Copied("r.example/a/b:multi", "other.example/x/y:1");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find(image_), std::string::npos);
    ASSERT_EQ(error.frames().size(), 1U);
    EXPECT_TRUE(error.frames()[0].starts_with("while copying the index"));
  }
  EXPECT_EQ(other_.Manifest("x/y", "1"), "");
}

TEST_F(CopyTest, ReferrersComeAlong) {
  const std::string config = home_.AddBlob("a/b", "{}");
  const std::string signature = home_.AddManifest(
      "a/b", "sig",
      R"({"schemaVersion":2,"mediaType":)"
      R"("application/vnd.oci.image.manifest.v1+json","artifactType":"x/sig",)"
      R"("config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":")" +
          config +
          R"(","size":2},"layers":[],"subject":{"mediaType":)"
          R"("application/vnd.oci.image.manifest.v1+json","digest":")" +
          image_ + R"(","size":1}})",
      "application/vnd.oci.image.manifest.v1+json");
  const auto digest = oci::Digest::Parse(image_);
  const auto repository = oci::Repository::Parse("r.example/a/b");
  under_test_.client->LinkReferrer(
      repository,
      under_test_.client->FetchDocument(
          oci::Reference::Parse("r.example/a/b:sig"), cancel_),
      cancel_);

  Copied("r.example/a/b:t", "other.example/x/y:1");
  EXPECT_EQ(other_.Manifest("x/y", signature), "");
  CopyOptions options;
  options.referrers = true;
  Copied("r.example/a/b:t", "other.example/x/y:1", options);
  EXPECT_EQ(other_.Manifest("x/y", signature), home_.Manifest("a/b", "sig"));
  const auto found = under_test_.client->ListReferrers(
      oci::Repository::Parse("other.example/x/y"), digest, "x/sig", cancel_);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].digest.ToString(), signature);
  // Linking again adds nothing.
  Copied("r.example/a/b:t", "other.example/x/y:1", options);
  EXPECT_EQ(under_test_.client
                ->ListReferrers(oci::Repository::Parse("other.example/x/y"),
                                digest, "", cancel_)
                .size(),
            1U);
}

TEST_F(CopyTest, CancelledMovesNoTag) {
  cancel_.Cancel();
  Message(ErrorCode::kInterrupted,
          [&] { Copied("r.example/a/b:t", "other.example/x/y:1"); });
  EXPECT_EQ(other_.Manifest("x/y", "1"), "");
}

}  // namespace
}  // namespace imgbuild::transfer
