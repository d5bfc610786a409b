#include "imgbuild/oci/manifest.h"

#include <gtest/gtest.h>

#include "imgbuild/util/error.h"

namespace imgbuild::oci {
namespace {

const std::string kHexA(64, 'a');
const std::string kHexB(64, 'b');

std::string Json(std::string text) {
  // ' for " keeps the cases readable; $A and $B are digests.
  for (char& c : text) {
    if (c == '\'') c = '"';
  }
  for (const auto& [name, hex] : {std::pair("$A", kHexA), {"$B", kHexB}}) {
    for (size_t at; (at = text.find(name)) != text.npos;) {
      text.replace(at, 2, "sha256:" + hex);
    }
  }
  return text;
}

const std::string kManifest = Json(
    "{'schemaVersion':2,"
    "'mediaType':'application/vnd.oci.image.manifest.v1+json',"
    "'config':{'mediaType':'application/vnd.oci.image.config.v1+json',"
    "'digest':'$A','size':7},"
    "'layers':[{'mediaType':'application/vnd.oci.image.layer.v1.tar+gzip',"
    "'digest':'$B','size':8}]}");

std::string Message(const std::string& text, std::string_view type = "") {
  try {
    ParseDocument(Json(text), type);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::kRegistry);
    return e.message();
  }
  return "(no error)";
}

TEST(ParseDocument, ReadsAManifest) {
  const Document document = ParseDocument(kManifest, media_type::kOciManifest);
  EXPECT_EQ(document.bytes, kManifest);
  EXPECT_EQ(document.digest, Digest::OfBytes(kManifest));
  EXPECT_EQ(document.media_type, media_type::kOciManifest);
  ASSERT_TRUE(document.manifest.has_value());
  EXPECT_FALSE(document.index.has_value());
  EXPECT_EQ(document.manifest->config.digest.hex(), kHexA);
  EXPECT_EQ(document.manifest->config.size, 7u);
  ASSERT_EQ(document.manifest->layers.size(), 1u);
  EXPECT_EQ(document.manifest->layers[0].digest.hex(), kHexB);
  EXPECT_EQ(document.manifest->layers[0].media_type, media_type::kOciLayerGzip);
}

TEST(ParseDocument, KeepsTheExactBytes) {
  const std::string spaced = " " + kManifest + "\n";
  EXPECT_EQ(ParseDocument(spaced, "").digest, Digest::OfBytes(spaced));
  EXPECT_EQ(ParseDocument(spaced, "").bytes, spaced);
}

TEST(ParseDocument, ReadsEverythingADescriptorHas) {
  const Document document = ParseDocument(
      Json("{'schemaVersion':2,'artifactType':'a/t','annotations':{'k':'v'},"
           "'config':{'mediaType':'application/vnd.oci.empty.v1+json','digest':"
           "'sha256:"
           "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',"
           "'size':2,'data':'e30='},'layers':null,"
           "'subject':{'mediaType':'m','digest':'$A','size':0,"
           "'urls':['https://x/y'],'annotations':{'a':'b'},'artifactType':'t',"
           "'platform':{'architecture':'arm','os':'linux','variant':'v7',"
           "'os.version':'1','os.features':['f']},'unknown':[1,{}]}}"),
      "");
  const Manifest& manifest = *document.manifest;
  EXPECT_EQ(manifest.artifact_type, "a/t");
  EXPECT_EQ(manifest.annotations.at("k"), "v");
  EXPECT_TRUE(manifest.layers.empty());
  const Descriptor& subject = *manifest.subject;
  EXPECT_EQ(subject.urls, (std::vector<std::string>{"https://x/y"}));
  EXPECT_EQ(subject.annotations.at("a"), "b");
  EXPECT_EQ(subject.artifact_type, "t");
  EXPECT_EQ(subject.platform->ToString(), "linux/arm/v7");
  EXPECT_EQ(subject.platform->os_version, "1");
  EXPECT_EQ(subject.platform->os_features, (std::vector<std::string>{"f"}));
}

TEST(ParseDocument, TellsTheTypeFromTheFieldsWhenNobodySaysIt) {
  const std::string config =
      "'config':{'mediaType':'m','digest':'$A','size':1}";
  EXPECT_EQ(
      ParseDocument(Json("{'schemaVersion':2," + config + ",'layers':[]}"), "")
          .media_type,
      media_type::kOciManifest);
  EXPECT_EQ(
      ParseDocument(Json("{'schemaVersion':2,'manifests':[]}"), "").media_type,
      media_type::kOciIndex);
  // The claim decides when the body is silent.
  EXPECT_EQ(ParseDocument(Json("{'schemaVersion':2,'manifests':[]}"),
                          media_type::kDockerList)
                .media_type,
            media_type::kDockerList);
  // These say nothing.
  for (const char* claim : {"application/json", "text/plain; charset=utf-8",
                            "application/octet-stream", " "}) {
    EXPECT_EQ(ParseDocument(kManifest, claim).media_type,
              media_type::kOciManifest);
  }
  EXPECT_EQ(
      ParseDocument(kManifest,
                    "Application/vnd.oci.image.manifest.v1+JSON; charset=utf-8")
          .media_type,
      media_type::kOciManifest);
}

TEST(ParseDocument, RefusesByName) {
  const std::string config =
      "'config':{'mediaType':'m','digest':'$A','size':1}";
  const struct {
    std::string text;
    std::string_view type;
    std::string message;
  } kCases[] = {
      {"{'schemaVersion':1,'fsLayers':[]}", "",
       "manifest: Docker schema 1 is not supported"},
      {"{'schemaVersion':1,'fsLayers':[]}", "text/plain",
       "manifest: Docker schema 1 is not supported"},
      {"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws",
       "manifest: Docker schema 1 is not supported"},
      {"{}", "application/vnd.docker.distribution.manifest.v1+json",
       "manifest: Docker schema 1 is not supported"},
      {"{}", "", "manifest: \"schemaVersion\" is missing"},
      {"{'schemaVersion':3}", "",
       "manifest: \"schemaVersion\" is 3, only 2 is supported"},
      {"{'schemaVersion':'2'}", "",
       "manifest: \"schemaVersion\" is not a whole number"},
      {"{'schemaVersion':2}", "",
       "manifest: neither an image manifest nor an index"},
      {"{'schemaVersion':2,'mediaType':'a/b'}", "a/c",
       "manifest: its mediaType is \"a/b\", but it was sent as \"a/c\""},
      {"{'schemaVersion':2,'mediaType':'application/"
       "vnd.oci.image.index.v1+json','manifests':[]}",
       media_type::kOciManifest,
       "manifest: its mediaType is "
       "\"application/vnd.oci.image.index.v1+json\", but it was sent as "
       "\"application/vnd.oci.image.manifest.v1+json\""},
      {"{'schemaVersion':2,'manifests':[],'layers':[]}", "",
       "manifest: it has both \"manifests\" and \"layers\" or \"config\", so "
       "it could be read as two different things"},
      {"{'schemaVersion':2,'manifests':[]," + config + "}", "",
       "manifest: it has both \"manifests\" and \"layers\" or \"config\", so "
       "it could be read as two different things"},
      {"{'schemaVersion':2,'mediaType':'application/vnd.x'}", "",
       "manifest: unsupported media type \"application/vnd.x\""},
      {"{'schemaVersion':2}", "text/html",
       "manifest: unsupported media type \"text/html\""},
      {"{'schemaVersion':2,'layers':[]}", media_type::kOciIndex,
       "manifest: sent as an index, but it is an image manifest"},
      {"{'schemaVersion':2,'manifests':[]}", media_type::kDockerManifest,
       "manifest: sent as an image manifest, but it is an index"},
      {"{'schemaVersion':2,'layers':[]}", media_type::kOciManifest,
       "manifest: \"config\" is not a descriptor"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'sha256:zz',"
       "'size':1}}",
       "", "manifest: \"config.digest\" is not a digest: \"sha256:zz\""},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A'}}", "",
       "manifest: \"config.size\" is missing"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A',"
       "'size':-1}}",
       "", "manifest: \"config.size\" is negative"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A',"
       "'size':1.5}}",
       "", "manifest: \"config.size\" is not a whole number"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A',"
       "'size':9223372036854775808}}",
       "", "manifest: \"config.size\" is out of range"},
      {"{'schemaVersion':2,'config':{'digest':'$A','size':1}}", "",
       "manifest: \"config.mediaType\" is missing"},
      {"{'schemaVersion':2," + config +
           ",'layers':[{'mediaType':'m',"
           "'digest':'$B','size':1},{'mediaType':'m','digest':'$B','size':-2}]"
           "}",
       "", "manifest: \"layers[1].size\" is negative"},
      {"{'schemaVersion':2," + config + ",'layers':{}}", "",
       "manifest: \"layers\" is not an array"},
      {"{'schemaVersion':2," + config + ",'annotations':{'a':1}}", "",
       "manifest: \"annotations.a\" is not a string"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A','size':2,"
       "'data':'e30='}}",
       "",
       "manifest: \"config.data\" does not match the descriptor's size and "
       "digest"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A','size':2,"
       "'data':'e30'}}",
       "", "manifest: \"config.data\" is not base64"},
      {"{'schemaVersion':2,'config':{'mediaType':'m','digest':'$A','size':2,"
       "'data':'!!!!'}}",
       "", "manifest: \"config.data\" is not base64"},
      {"{'schemaVersion':2,'schemaVersion':2,'manifests':[]}", "",
       "manifest: the key \"schemaVersion\" appears twice"},
      {"{'schemaVersion':2,'manifests':[{'a':1,'b':{'a':1},'a':2}]}", "",
       "manifest: the key \"a\" appears twice"},
      {"[]", "", "manifest: not a JSON object"},
      {"null", "", "manifest: not a JSON object"},
      {"", "", "manifest: malformed JSON at byte 1"},
      {"{'schemaVersion':2", "", "manifest: malformed JSON at byte 19"},
      {"{'schemaVersion':2}x", "", "manifest: malformed JSON at byte 20"},
      {"{'a':'\xff'}", "", "manifest: malformed JSON at byte 7"},
      {"{'schemaVersion':1e999}", "",
       "manifest: malformed JSON: [json.exception.out_of_range.406] number "
       "overflow parsing '1e999'"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Message(c.text, c.type), c.message);
}

TEST(ParseDocument, CapsSizeDepthAndCount) {
  const std::string pad(kMaxManifestBytes - kManifest.size(), ' ');
  EXPECT_TRUE(ParseDocument(kManifest + pad, "").manifest.has_value());
  EXPECT_EQ(Message(kManifest + pad + " "),
            "manifest: more than 4194304 bytes");

  const auto nested = [](int levels) {
    return "{'schemaVersion':2,'manifests':[],'x':" +
           std::string(static_cast<size_t>(levels - 1), '[') +
           std::string(static_cast<size_t>(levels - 1), ']') + "}";
  };
  EXPECT_EQ(Message(nested(64)), "(no error)");
  EXPECT_EQ(Message(nested(65)),
            "manifest: JSON nested more than 64 levels deep");
  EXPECT_EQ(Message(std::string(2'000'000, '[')),
            "manifest: JSON nested more than 64 levels deep");

  std::string many = "{'schemaVersion':2,'manifests':[";
  for (int i = 0; i < 10'001; ++i) many += i == 0 ? "1" : ",1";
  EXPECT_EQ(Message(many + "]}"),
            "manifest: \"manifests\" has more than 10000 entries");
}

TEST(Serialize, ManifestIsCanonical) {
  EXPECT_EQ(Serialize(*ParseDocument(kManifest, "").manifest), kManifest);
  Manifest manifest = *ParseDocument(kManifest, "").manifest;
  manifest.artifact_type = "a/t";
  manifest.annotations = {{"z", "<&>\"\\\n\x01\xc3\xa4"}, {"a", "1"}};
  manifest.layers.clear();
  manifest.subject = manifest.config;
  manifest.subject->platform = Platform::Parse("linux/arm/v7");
  manifest.subject->urls = {"u"};
  manifest.subject->annotations = {{"k", "v"}};
  manifest.subject->artifact_type = "t";
  EXPECT_EQ(
      Serialize(manifest),
      Json("{'schemaVersion':2,"
           "'mediaType':'application/vnd.oci.image.manifest.v1+json',"
           "'artifactType':'a/t',"
           "'config':{'mediaType':'application/vnd.oci.image.config.v1+json',"
           "'digest':'$A','size':7},'layers':[],"
           "'subject':{'mediaType':'application/vnd.oci.image.config.v1+json',"
           "'digest':'$A','size':7,'urls':['u'],'annotations':{'k':'v'},"
           "'platform':{'architecture':'arm','os':'linux','variant':'v7'},"
           "'artifactType':'t'},"
           "'annotations':{'a':'1','z':'<&>\\\"\\\\\\n\\u0001\xc3\xa4'}}"));
  EXPECT_EQ(ParseDocument(Serialize(manifest), "").manifest->annotations,
            manifest.annotations);
}

TEST(LayerTypes, TellCompression) {
  const struct {
    std::string_view type;
    std::optional<Compression> compression;
    bool foreign;
  } kCases[] = {
      {media_type::kOciLayerTar, Compression::kNone, false},
      {media_type::kOciLayerGzip, Compression::kGzip, false},
      {media_type::kOciLayerZstd, Compression::kZstd, false},
      {media_type::kDockerLayerGzip, Compression::kGzip, false},
      {"application/vnd.docker.image.rootfs.diff.tar", Compression::kNone,
       false},
      {"application/vnd.docker.image.rootfs.diff.tar.zstd", Compression::kZstd,
       false},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
       Compression::kGzip, true},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar",
       Compression::kNone, true},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
       Compression::kGzip, true},
      {"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", std::nullopt,
       false},
      {"application/vnd.oci.image.layer.v1.tar.gzip", std::nullopt, false},
      {"application/vnd.oci.image.layer.v1.tar+xz", std::nullopt, false},
      {"application/vnd.cncf.helm.chart.content.v1.tar+gzip", std::nullopt,
       false},
      {"", std::nullopt, false},
  };
  for (const auto& c : kCases) {
    EXPECT_EQ(LayerCompression(c.type), c.compression) << c.type;
    EXPECT_EQ(IsForeignLayer(c.type), c.foreign) << c.type;
  }
}

}  // namespace
}  // namespace imgbuild::oci
