// Names, documents, mirrors and lists.
#include "registry/client_fixture.h"

namespace imgbuild::registry {
namespace {

using testing::FakeRegistry;
using testing::TestRequest;
using testing::TestResponse;

TEST_F(ClientTest, ResolveIsOneHead) {
  const oci::Descriptor found = Resolve("r.example/a/b:t");
  EXPECT_EQ(found.digest.ToString(), digest_);
  EXPECT_EQ(found.media_type, oci::media_type::kOciManifest);
  EXPECT_EQ(found.size, registry_.Manifest("a/b", "t").size());
  EXPECT_EQ(transport_.Log(), std::vector<std::string>{
                                  "HEAD https://r.example/v2/a/b/manifests/t"});
  EXPECT_EQ(transport_.requests()[0].Header("Accept"),
            "application/vnd.oci.image.manifest.v1+json, "
            "application/vnd.oci.image.index.v1+json, "
            "application/vnd.docker.distribution.manifest.v2+json, "
            "application/vnd.docker.distribution.manifest.list.v2+json");
}

TEST_F(ClientTest, ResolveByDigestAsksForTheDigest) {
  EXPECT_EQ(Resolve("r.example/a/b:other@" + digest_).digest.ToString(),
            digest_);
  EXPECT_EQ(transport_.Log(),
            std::vector<std::string>{
                "HEAD https://r.example/v2/a/b/manifests/" + digest_});
}

TEST_F(ClientTest, ResolveWithoutTheHeaderHashesTheDocument) {
  registry_.digest_header = false;
  EXPECT_EQ(Resolve("r.example/a/b:t").digest.ToString(), digest_);
  EXPECT_EQ(transport_.Log(), (std::vector<std::string>{
                                  "HEAD https://r.example/v2/a/b/manifests/t",
                                  "GET https://r.example/v2/a/b/manifests/t"}));
}

TEST_F(ClientTest, ResolveWithoutHeadUsesGet) {
  transport_.Serve("https://r.example", [this](const TestRequest& request) {
    if (request.method == "HEAD") {
      return testing::RegistryError(405, "UNSUPPORTED", "no HEAD");
    }
    return registry_.Handle(request);
  });
  EXPECT_EQ(Resolve("r.example/a/b:t").digest.ToString(), digest_);
}

TEST_F(ClientTest, NotFoundSaysWhat) {
  EXPECT_EQ(Message([&] { Resolve("r.example/a/b:nope"); }),
            "manifest for r.example/a/b:nope not found: GET "
            "https://r.example/v2/a/b/manifests/nope: MANIFEST_UNKNOWN: "
            "manifest unknown");
}

TEST_F(ClientTest, FetchKeepsTheExactBytes) {
  const oci::Document document = Fetch("r.example/a/b:t");
  EXPECT_EQ(document.bytes, registry_.Manifest("a/b", "t"));
  EXPECT_EQ(document.digest.ToString(), digest_);
  ASSERT_TRUE(document.manifest);
  EXPECT_EQ(document.manifest->layers.size(), 1U);
}

TEST_F(ClientTest, FetchBySha512) {
  const std::string bytes = registry_.Manifest("a/b", "t");
  const std::string sha512 =
      oci::Digest::OfBytes(bytes, oci::DigestAlgorithm::kSha512).ToString();
  TestResponse response;
  response.body = bytes;
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciManifest)},
      {"Docker-Content-Digest", digest_}};
  Answer(response);
  EXPECT_EQ(Fetch("r.example/a/b@" + sha512).digest.ToString(), sha512);
}

TEST_F(ClientTest, WrongBytesUnderADigest) {
  TestResponse response;
  response.body = registry_.Manifest("a/b", "t") + " ";
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciManifest)}};
  Answer(response);
  EXPECT_EQ(Message([&] { Fetch("r.example/a/b@" + digest_); }),
            "GET https://r.example/v2/a/b/manifests/" + digest_ +
                ": the manifest's digest is " +
                oci::Digest::OfBytes(response.body).ToString() + ", expected " +
                digest_);
}

TEST_F(ClientTest, DigestHeaderIsCheckedAgainstTheBytes) {
  TestResponse response;
  response.body = registry_.Manifest("a/b", "t");
  const std::string other = oci::Digest::OfBytes("other").ToString();
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciManifest)},
      {"Docker-Content-Digest", other}};
  Answer(response);
  EXPECT_EQ(Message([&] { Fetch("r.example/a/b:t"); }),
            "GET https://r.example/v2/a/b/manifests/t: the manifest's digest "
            "is " +
                digest_ + ", expected " + other);
}

TEST_F(ClientTest, MalformedDigestHeaderIsRefused) {
  for (const char* header :
       {"sha256:../../etc", "sha256:ABC", "md5:abc", "sha256:", "nonsense"}) {
    TestResponse response;
    response.body = registry_.Manifest("a/b", "t");
    response.headers = {
        {"Content-Type", std::string(oci::media_type::kOciManifest)},
        {"Docker-Content-Digest", header}};
    Answer(response);
    EXPECT_EQ(Message([&] { Resolve("r.example/a/b:t"); }),
              "HEAD https://r.example/v2/a/b/manifests/t: malformed "
              "Docker-Content-Digest header \"" +
                  std::string(header) + "\"");
    EXPECT_NE(Message([&] { Fetch("r.example/a/b:t"); }).find("malformed"),
              std::string::npos);
  }
}

TEST_F(ClientTest, HeadThatAnswersAnotherDigestIsRefused) {
  TestResponse response;
  response.body = "x";
  const std::string other = oci::Digest::OfBytes("other").ToString();
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciManifest)},
      {"Docker-Content-Digest", other}};
  Answer(response);
  EXPECT_EQ(Message([&] { Resolve("r.example/a/b@" + digest_); }),
            "HEAD https://r.example/v2/a/b/manifests/" + digest_ +
                ": the registry answers with " + other);
}

TEST_F(ClientTest, Schema1IsRefusedByName) {
  for (const char* type :
       {"application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/json", "text/plain", ""}) {
    TestResponse response;
    response.body = R"({"schemaVersion":1,"name":"a/b","fsLayers":[]})";
    response.headers = {{"Content-Type", type}};
    Answer(response);
    for (const auto& message : {Message([&] { Resolve("r.example/a/b:t"); }),
                                Message([&] { Fetch("r.example/a/b:t"); })}) {
      EXPECT_NE(message.find("schema 1"), std::string::npos)
          << type << ": " << message;
    }
  }
}

TEST_F(ClientTest, ARegistryWithoutV2IsNotFound) {
  TestResponse response;
  response.status = 404;
  response.body = "<html>404 page not found</html>";
  Answer(response);
  EXPECT_EQ(Message([&] { Fetch("r.example/a/b:t"); }),
            "manifest for r.example/a/b:t not found: GET "
            "https://r.example/v2/a/b/manifests/t: status 404");
}

TEST_F(ClientTest, AmbiguousDocumentsAreRefused) {
  TestResponse response;
  response.body =
      R"({"schemaVersion":2,"manifests":[],"layers":[],"config":{}})";
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciIndex)}};
  Answer(response);
  EXPECT_THROW(Fetch("r.example/a/b:t"), Error);
}

TEST_F(ClientTest, BodyAndHeaderMustAgreeOnTheType) {
  TestResponse response;
  response.body = registry_.Manifest("a/b", "t");
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kDockerManifest)}};
  Answer(response);
  EXPECT_THROW(Fetch("r.example/a/b:t"), Error);
}

TEST_F(ClientTest, AHugeManifestIsRefused) {
  TestResponse response;
  response.body = std::string(5u << 20, ' ');
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciManifest)}};
  Answer(response);
  EXPECT_EQ(Message([&] { Fetch("r.example/a/b:t"); }),
            "GET https://r.example/v2/a/b/manifests/t: the manifest is larger "
            "than 4 MiB");
}

TEST_F(ClientTest, ManifestAmongTheBlobs) {
  const std::string bytes = registry_.Manifest("a/b", "t");
  const std::string as_blob = registry_.AddBlob("blobs/only", bytes);
  EXPECT_EQ(Fetch("r.example/blobs/only@" + as_blob).bytes, bytes);
  EXPECT_EQ(transport_.Log(),
            (std::vector<std::string>{
                "GET https://r.example/v2/blobs/only/manifests/" + as_blob,
                "GET https://r.example/v2/blobs/only/blobs/" + as_blob}));
}

TEST_F(ClientTest, MirrorsFirstThenTheRegistry) {
  FakeRegistry mirror;
  transport_.Serve("https://m.example", mirror.Handler());
  under_test_.hosts.mirrors = {"https://down.example", "https://m.example"};
  EXPECT_EQ(Fetch("r.example/a/b:t").digest.ToString(), digest_);
  EXPECT_EQ(transport_.Log(), (std::vector<std::string>{
                                  "GET https://down.example/v2/a/b/manifests/t",
                                  "GET https://m.example/v2/a/b/manifests/t",
                                  "GET https://r.example/v2/a/b/manifests/t"}));
  EXPECT_TRUE(clock_.sleeps().empty());
}

TEST_F(ClientTest, AMirrorNeverSeesTheRegistrysCredentials) {
  FakeRegistry mirror;
  mirror.auth = FakeRegistry::Auth::kBasic;
  registry_.auth = FakeRegistry::Auth::kBasic;
  transport_.Serve("https://m.example", mirror.Handler());
  under_test_.hosts.mirrors = {"https://m.example"};
  Credentials credentials;
  credentials.username = registry_.username;
  credentials.password = registry_.password;
  under_test_.credentials.by_host["r.example"] = credentials;
  Fetch("r.example/a/b:t");
  for (const TestRequest& request : transport_.requests()) {
    if (request.origin == "https://m.example") {
      EXPECT_EQ(request.Header("Authorization"), "");
    }
  }
}

TEST_F(ClientTest, ErrorsOfMirrorsAreNotes) {
  under_test_.hosts.mirrors = {"https://down.example"};
  try {
    Fetch("r.example/a/b:nope");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.notes(),
              std::vector<std::string>{
                  "mirror https://down.example/: GET "
                  "https://down.example/v2/a/b/manifests/nope: connection "
                  "refused"});
  }
}

TEST_F(ClientTest, TagsInPages) {
  for (const char* tag : {"v1", "v2", "v3", "v4"}) {
    registry_.AddImage("a/b", tag, layer_);
  }
  registry_.tags_per_page = 2;
  EXPECT_EQ(under_test_.client->ListTags(
                oci::Repository::Parse("r.example/a/b"), under_test_.cancel),
            (std::vector<std::string>{"t", "v1", "v2", "v3", "v4"}));
  EXPECT_EQ(transport_.requests().size(), 3U);
}

TEST_F(ClientTest, TagListsOfOddRegistries) {
  const struct {
    const char* body;
    size_t count;
  } cases[] = {
      {R"({"name":"a/b","tags":null})", 0},
      {R"({"name":"a/b"})", 0},
      {R"({"tags":["ok",5,"bad tag","../x"]})", 1},
  };
  for (const auto& c : cases) {
    Answer(testing::JsonResponse(200, c.body));
    EXPECT_EQ(under_test_.client
                  ->ListTags(oci::Repository::Parse("r.example/a/b"),
                             under_test_.cancel)
                  .size(),
              c.count)
        << c.body;
  }
  TestResponse circle = testing::JsonResponse(200, R"({"tags":["x"]})");
  circle.headers.emplace_back("Link", "</v2/a/b/tags/list>; rel=\"next\"");
  Answer(circle);
  EXPECT_EQ(under_test_.client
                ->ListTags(oci::Repository::Parse("r.example/a/b"),
                           under_test_.cancel)
                .size(),
            1U);
}

std::string ReferrersIndex(const std::string& type) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.)"
         R"(v1+json","manifests":[{"mediaType":"application/vnd.oci.image.)"
         R"(manifest.v1+json","digest":")" +
         oci::Digest::OfBytes(type).ToString() +
         R"(","size":5,"artifactType":")" + type + "\"}]}";
}

TEST_F(ClientTest, ReferrersInPagesAndFiltered) {
  const auto subject = oci::Digest::Parse(digest_);
  transport_.Serve("https://r.example", [&](const TestRequest& request) {
    TestResponse response;
    const bool second = request.query.find("page=2") != std::string::npos;
    response.body =
        ReferrersIndex(second ? "application/sig" : "application/sbom");
    if (!second) {
      response.headers.emplace_back("Link", "<?page=2>; rel=\"next\"");
    }
    return response;
  });
  const auto list = [&](const std::string& type) {
    return under_test_.client->ListReferrers(
        oci::Repository::Parse("r.example/a/b"), subject, type,
        under_test_.cancel);
  };
  EXPECT_EQ(list("").size(), 2U);
  const auto found = list("application/sig");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].digest, oci::Digest::OfBytes("application/sig"));
  EXPECT_EQ(transport_.Log()[2], "GET https://r.example/v2/a/b/referrers/" +
                                     digest_ +
                                     "?artifactType=application%2Fsig");
}

TEST_F(ClientTest, ReferrersFromTheTag) {
  const auto subject = oci::Digest::Parse(digest_);
  const auto list = [&] {
    return under_test_.client->ListReferrers(
        oci::Repository::Parse("r.example/a/b"), subject, "",
        under_test_.cancel);
  };
  EXPECT_TRUE(list().empty());
  registry_.AddManifest("a/b", "sha256-" + subject.hex(),
                        ReferrersIndex("application/sig"),
                        std::string(oci::media_type::kOciIndex));
  EXPECT_EQ(list().size(), 1U);
}

TEST_F(ClientTest, WarningsAreShownOnce) {
  TestResponse response;
  response.body = registry_.Manifest("a/b", "t");
  response.headers = {
      {"Content-Type", std::string(oci::media_type::kOciManifest)},
      {"Warning", "299 - \"this repository is going away\""}};
  Answer(response);
  Fetch("r.example/a/b:t");
  Fetch("r.example/a/b:t");
  EXPECT_EQ(under_test_.warnings,
            std::vector<std::string>{
                "registry r.example: this repository is going away"});
}

TEST_F(ClientTest, InsecureFallsBackToPlainHttpOnce) {
  transport_.Serve("https://r.example", [](const TestRequest&) -> TestResponse {
    throw TransportError(TransportError::Kind::kTls, "wrong version number");
  });
  transport_.Serve("http://r.example", registry_.Handler());
  EXPECT_EQ(Message([&] { Resolve("r.example/a/b:t"); }),
            "wrong version number");
  under_test_.hosts.insecure = true;
  Resolve("r.example/a/b:t");
  Resolve("r.example/a/b:t");
  EXPECT_EQ(transport_.Log(), (std::vector<std::string>{
                                  "HEAD https://r.example/v2/a/b/manifests/t",
                                  "HEAD https://r.example/v2/a/b/manifests/t",
                                  "HEAD http://r.example/v2/a/b/manifests/t",
                                  "HEAD http://r.example/v2/a/b/manifests/t"}));
}

TEST_F(ClientTest, CancelledBeforeTheFirstByte) {
  under_test_.cancel.Cancel();
  try {
    Resolve("r.example/a/b:t");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
  EXPECT_TRUE(transport_.requests().empty());
}

}  // namespace
}  // namespace imgbuild::registry
