#include <gtest/gtest.h>

#include "imgbuild/registry/client.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/fault_proxy.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::registry {
namespace {

using namespace testing;  // NOLINT: spoilers read as words

class PushTest : public ::testing::Test {
 protected:
  void SetUp() override {
    transport_.Serve("https://r.example", proxy_.Handler());
    for (size_t i = 0; i < 200000; ++i) {
      layer_ += static_cast<char>(i * 31 + i / 251);
    }
  }
  PushOutcome Push(const std::vector<std::string>& mount_from = {}) {
    MemorySource source(layer_);
    std::vector<oci::Repository> from;
    for (const std::string& name : mount_from) {
      from.push_back(oci::Repository::Parse(name));
    }
    const PushOutcome outcome = under_test_.client->PushBlob(
        oci::Repository::Parse("r.example/a/b"), BlobDescriptor(layer_), source,
        from, [this](uint64_t sent) { sent_ = sent; }, under_test_.cancel);
    offsets_ = source.offsets();
    return outcome;
  }
  // Methods alone: "HEAD POST PUT".
  std::string Methods() const {
    std::string out;
    for (const TestRequest& request : transport_.requests()) {
      out += (out.empty() ? "" : " ") + request.method;
    }
    return out;
  }
  bool Stored() {
    return registry_.Blob("a/b", oci::Digest::OfBytes(layer_).ToString()) ==
           layer_;
  }
  std::string layer_;
  uint64_t sent_ = 0;
  std::vector<uint64_t> offsets_;
  FakeRegistry registry_;
  FaultProxy proxy_{registry_.Handler()};
  ScriptedTransport transport_;
  FakeClock clock_;
  ClientUnderTest under_test_{transport_, clock_};
};

TEST_F(PushTest, OnePieceAndTheQueryIsKept) {
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST PUT");
  EXPECT_TRUE(Stored());
  EXPECT_EQ(sent_, layer_.size());
  EXPECT_EQ(registry_.open_uploads(), 0U);
}

TEST_F(PushTest, NothingIsSentTwice) {
  registry_.AddBlob("a/b", layer_);
  EXPECT_EQ(Push(), PushOutcome::kExists);
  EXPECT_EQ(Methods(), "HEAD");
}

TEST_F(PushTest, MountedFromARepositoryOfTheSameRegistry) {
  registry_.AddBlob("base/image", layer_);
  EXPECT_EQ(Push({"other.example/x", "r.example/base/image"}),
            PushOutcome(PushOutcome::kMounted, "base/image"));
  EXPECT_EQ(Methods(), "HEAD POST");
  EXPECT_TRUE(Stored());
}

TEST_F(PushTest, AMountThatFailsBecomesAnUpload) {
  EXPECT_EQ(Push({"r.example/not/there"}), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST PUT");
  EXPECT_EQ(registry_.open_uploads(), 0U);
}

TEST_F(PushTest, SessionsOfFailedMountsAreCancelled) {
  EXPECT_EQ(Push({"r.example/one", "r.example/two"}), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST DELETE POST PUT");
  EXPECT_EQ(registry_.open_uploads(), 0U);
}

TEST_F(PushTest, ARefusedMountBecomesAnUpload) {
  proxy_.Add({"POST", "mount=", 0, -1, Status(403), true});
  EXPECT_EQ(Push({"r.example/private"}), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST POST PUT");
}

TEST_F(PushTest, ASmallRequestLimitMeansChunks) {
  registry_.single_put = false;
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST PUT DELETE POST PATCH PUT");
  EXPECT_TRUE(Stored());
}

TEST_F(PushTest, TheRegistrySaysHowSmallAChunkMayBe) {
  registry_.single_put = false;
  proxy_.Add({"POST", "", 0, -1, SetHeader("OCI-Chunk-Min-Length", "70000")});
  ClientOptions options;
  options.chunk_bytes = 60000;
  ClientUnderTest small(transport_, clock_, options);
  MemorySource source(layer_);
  small.client->PushBlob(oci::Repository::Parse("r.example/a/b"),
                         BlobDescriptor(layer_), source, {}, nullptr,
                         small.cancel);
  std::vector<size_t> chunks;
  for (const TestRequest& request : transport_.requests()) {
    if (request.method == "PATCH") chunks.push_back(request.body.size());
  }
  EXPECT_EQ(chunks, (std::vector<size_t>{70000, 70000, 60000}));
  EXPECT_TRUE(Stored());
}

TEST_F(PushTest, APutThatBreaksBeforeAnythingArrived) {
  proxy_.Add({"PUT", "", 0, 1, Reset(), true});
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST PUT GET DELETE POST PUT");
  EXPECT_TRUE(Stored());
}

TEST_F(PushTest, ContinuesWhereTheSessionStopped) {
  // The registry kept half of a PUT that died.
  proxy_.Add({"PUT", "", 0, 1,
              [this](const TestRequest& request, TestResponse* response) {
                TestRequest half = request;
                half.method = "PATCH";
                half.body = request.body.substr(0, 100000);
                half.headers.emplace_back("Content-Range", "0-99999");
                registry_.Handle(half);
                response->no_answer = true;
              },
              true});
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST PUT GET PATCH PUT");
  EXPECT_EQ(offsets_, (std::vector<uint64_t>{0, 100000}));
  EXPECT_TRUE(Stored());
}

TEST_F(PushTest, ALostSessionBeginsAgain) {
  proxy_.Add({"PUT", "", 0, 1,
              Status(404, {}, R"({"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]})"),
              true});
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_EQ(Methods(), "HEAD POST PUT POST PUT");
}

TEST_F(PushTest, ASessionThatIsAlwaysLostIsGivenUp) {
  proxy_.Add({"PUT", "", 0, -1, Status(404), true});
  try {
    Push();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "upload of blob " + oci::Digest::OfBytes(layer_).ToString() +
                  " to r.example/a/b: the registry loses the upload again and "
                  "again");
  }
}

TEST_F(PushTest, ServerErrorsAreRetried) {
  proxy_.Add({"POST", "", 0, 2, Status(503, {{"Retry-After", "7"}}), true});
  proxy_.Add({"PUT", "", 0, 1, Status(502), true});
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  const auto sleeps = clock_.sleeps();
  ASSERT_EQ(sleeps.size(), 3U);
  EXPECT_EQ(sleeps[0], std::chrono::seconds(7));
  EXPECT_EQ(sleeps[1], std::chrono::seconds(7));
}

TEST_F(PushTest, ADigestThatTheRegistryDoesNotAccept) {
  proxy_.Add(
      {"PUT", "", 0, -1,
       Status(400, {},
              R"({"errors":[{"code":"DIGEST_INVALID","message":"no"}]})"),
       true});
  try {
    Push();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find(": DIGEST_INVALID: no"), std::string::npos)
        << error.message();
  }
  EXPECT_EQ(Methods(), "HEAD POST PUT DELETE");
  EXPECT_EQ(registry_.open_uploads(), 0U);
}

TEST_F(PushTest, AWrongDigestInTheAnswerIsAnError) {
  const std::string other = oci::Digest::OfBytes("other").ToString();
  proxy_.Add({"PUT", "", 0, -1, SetHeader("Docker-Content-Digest", other)});
  try {
    Push();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("the registry stored " + other),
              std::string::npos)
        << error.message();
  }
}

TEST_F(PushTest, ATokenThatDiesDuringTheUpload) {
  registry_.auth = FakeRegistry::Auth::kToken;
  Credentials credentials;
  credentials.username = registry_.username;
  credentials.password = registry_.password;
  under_test_.credentials.by_host["r.example"] = credentials;
  proxy_.Add({"PUT", "", 0, 1,
              [this](const TestRequest& request, TestResponse* response) {
                registry_.RevokeTokens();
                *response = registry_.Handle(request);
              },
              true});
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_TRUE(Stored());
}

TEST_F(PushTest, UploadLocationOnAnotherHostGetsNoAuthorization) {
  registry_.auth = FakeRegistry::Auth::kBasic;
  Credentials credentials;
  credentials.username = registry_.username;
  credentials.password = registry_.password;
  under_test_.credentials.by_host["r.example"] = credentials;
  proxy_.Add({"POST", "", 0, -1,
              [](const TestRequest& request, TestResponse* response) {
                if (response->status != 202) return;
                SetHeader("Location", "https://upload.example/x?sig=1")(
                    request, response);
              }});
  transport_.Serve("https://upload.example", [](const TestRequest&) {
    TestResponse response;
    response.status = 201;
    return response;
  });
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  const TestRequest last = transport_.requests().back();
  EXPECT_EQ(last.origin, "https://upload.example");
  EXPECT_EQ(last.query.substr(0, 17), "sig=1&digest=sha2");
  EXPECT_EQ(last.Header("Authorization"), "");
}

TEST_F(PushTest, UploadLocationInPlainHttpIsPulledBackToHttps) {
  proxy_.Add({"POST", "", 0, -1,
              [](const TestRequest& request, TestResponse* response) {
                const std::string location =
                    HeaderOf(response->headers, "Location");
                SetHeader("Location", "http://r.example" + location)(request,
                                                                     response);
              }});
  EXPECT_EQ(Push(), PushOutcome::kUploaded);
  EXPECT_EQ(transport_.requests().back().origin, "https://r.example");
}

TEST_F(PushTest, UploadWithoutALocation) {
  proxy_.Add({"POST", "", 0, -1, DropHeader("Location")});
  try {
    Push();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("names no place to upload to"),
              std::string::npos);
  }
}

TEST_F(PushTest, DocumentsByTagAndByDigest) {
  registry_.AddImage("src", "t", "layer");
  const std::string bytes = registry_.Manifest("src", "t");
  const oci::Document document =
      oci::ParseDocument(bytes, std::string(oci::media_type::kOciManifest));
  const auto push = [&](const std::string& name) {
    under_test_.client->PushDocument(oci::Reference::Parse(name), document,
                                     under_test_.cancel);
    return transport_.requests().back();
  };
  const TestRequest by_tag = push("r.example/a/b:v1");
  EXPECT_EQ(by_tag.path, "/v2/a/b/manifests/v1");
  EXPECT_EQ(by_tag.body, bytes);
  EXPECT_EQ(by_tag.Header("Content-Type"), oci::media_type::kOciManifest);
  const std::string digest = document.digest.ToString();
  EXPECT_EQ(push("r.example/a/b@" + digest).path,
            "/v2/a/b/manifests/" + digest);
  EXPECT_EQ(push("r.example/a/b:v2@" + digest).path, "/v2/a/b/manifests/v2");
  EXPECT_EQ(registry_.Manifest("a/b", "v2"), bytes);
}

TEST_F(PushTest, DocumentStoredUnderAnotherDigest) {
  registry_.AddImage("src", "t", "layer");
  const oci::Document document =
      oci::ParseDocument(registry_.Manifest("src", "t"), "");
  const std::string other = oci::Digest::OfBytes("other").ToString();
  proxy_.Add({"PUT", "", 0, -1, SetHeader("Docker-Content-Digest", other)});
  try {
    under_test_.client->PushDocument(oci::Reference::Parse("r.example/a/b:t"),
                                     document, under_test_.cancel);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "PUT https://r.example/v2/a/b/manifests/t: the registry stored " +
                  other + ", sent was " + document.digest.ToString());
  }
}

TEST_F(PushTest, MirrorsAreNeverPushedTo) {
  under_test_.hosts.mirrors = {"https://m.example"};
  Push();
  for (const TestRequest& request : transport_.requests()) {
    EXPECT_EQ(request.origin, "https://r.example");
  }
}

}  // namespace
}  // namespace imgbuild::registry
