// Indexes: reading, writing, choosing a platform's entry.
#include <gtest/gtest.h>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/error.h"

namespace imgbuild::oci {
namespace {

// An entry whose digest tells its place.
Descriptor Entry(int place, std::optional<Platform> platform,
                 std::string_view type = media_type::kOciManifest) {
  return {.media_type = std::string(type),
          .digest = Digest::OfBytes(std::to_string(place)),
          .size = static_cast<uint64_t>(place),
          .platform = std::move(platform),
          .annotations = {},
          .urls = {},
          .artifact_type = ""};
}

Platform P(const char* text) { return Platform::Parse(text); }

Index IndexOf(std::vector<Descriptor> entries) {
  return {.media_type = std::string(media_type::kOciIndex),
          .manifests = std::move(entries),
          .annotations = {}};
}

uint64_t Chosen(const Index& index, const char* wanted) {
  return ChoosePlatform(index, P(wanted), "x").size;
}

TEST(ChoosePlatform, TakesTheBestRank) {
  const Index index =
      IndexOf({Entry(1, P("linux/386")), Entry(2, P("linux/arm/v7")),
               Entry(3, P("linux/amd64")), Entry(4, P("linux/arm64")),
               Entry(5, P("linux/arm/v6"))});
  EXPECT_EQ(Chosen(index, "linux/amd64"), 3u);
  EXPECT_EQ(Chosen(index, "linux/amd64/v3"), 3u);
  EXPECT_EQ(Chosen(index, "linux/386"), 1u);
  EXPECT_EQ(Chosen(index, "linux/arm64/v9"), 4u);
  EXPECT_EQ(Chosen(index, "linux/arm"), 2u);
  EXPECT_EQ(Chosen(index, "linux/arm/v6"), 5u);
}

TEST(ChoosePlatform, TakesTheFirstOfEquals) {
  const Index index =
      IndexOf({Entry(1, P("linux/amd64")), Entry(2, P("linux/amd64"))});
  EXPECT_EQ(Chosen(index, "linux/amd64"), 1u);
}

TEST(ChoosePlatform, PassesOverWhatIsNoImage) {
  Descriptor unknown = Entry(1, P("linux/amd64"));
  unknown.platform->os = "unknown";
  unknown.platform->architecture = "unknown";
  Descriptor attestation = Entry(2, P("linux/amd64"));
  attestation.annotations["vnd.docker.reference.type"] = "attestation-manifest";
  Descriptor artifact = Entry(3, P("linux/amd64"));
  artifact.artifact_type = "application/vnd.example";
  const Descriptor other = Entry(4, P("linux/amd64"), "application/vnd.other");
  const Index index = IndexOf(
      {unknown, attestation, artifact, other, Entry(5, P("linux/amd64"))});
  EXPECT_EQ(Chosen(index, "linux/amd64"), 5u);
}

TEST(ChoosePlatform, TakesAnEntryWithoutPlatformLast) {
  EXPECT_EQ(
      Chosen(IndexOf({Entry(1, std::nullopt), Entry(2, P("linux/amd64"))}),
             "linux/amd64"),
      2u);
  EXPECT_EQ(Chosen(IndexOf({Entry(1, P("linux/s390x")), Entry(2, std::nullopt),
                            Entry(3, std::nullopt)}),
                   "linux/amd64"),
            2u);
}

TEST(ChoosePlatform, TakesANestedIndex) {
  EXPECT_EQ(Chosen(IndexOf({Entry(1, P("linux/amd64"), media_type::kOciIndex)}),
                   "linux/amd64"),
            1u);
}

TEST(ChoosePlatform, ListsWhatThereIs) {
  Platform unknown;
  unknown.os = unknown.architecture = "unknown";
  const Index index =
      IndexOf({Entry(1, P("linux/arm64")), Entry(2, P("linux/arm/v6")),
               Entry(3, P("linux/arm64")), Entry(4, unknown),
               Entry(5, P("windows(10.0.17763.1)/amd64"))});
  try {
    ChoosePlatform(index, P("linux/s390x"), "docker.io/library/x:1");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRegistry);
    EXPECT_EQ(e.message(),
              "no image for platform linux/s390x in \"docker.io/library/x:1\": "
              "available: linux/arm64, linux/arm/v6, windows/amd64 "
              "(10.0.17763.1)");
  }
  try {
    ChoosePlatform(IndexOf({}), P("linux/amd64"), "x");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.message(),
              "no image for platform linux/amd64 in \"x\": available: none");
  }
}

TEST(SerializeIndex, IsCanonicalAndComesBack) {
  Index index = IndexOf({Entry(1, P("linux/amd64"))});
  index.annotations["a"] = "b";
  const std::string text = Serialize(index);
  EXPECT_EQ(text,
            "{\"schemaVersion\":2,"
            "\"mediaType\":\"application/vnd.oci.image.index.v1+json\","
            "\"manifests\":[{\"mediaType\":"
            "\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"" +
                Digest::OfBytes("1").ToString() +
                "\",\"size\":1,\"platform\":{\"architecture\":\"amd64\",\"os\":"
                "\"linux\"}}],\"annotations\":{\"a\":\"b\"}}");
  const Document document = ParseDocument(text, media_type::kOciIndex);
  ASSERT_TRUE(document.index.has_value());
  EXPECT_FALSE(document.manifest.has_value());
  EXPECT_EQ(document.index->manifests, index.manifests);
  EXPECT_EQ(document.index->annotations, index.annotations);
}

}  // namespace
}  // namespace imgbuild::oci
