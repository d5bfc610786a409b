// Blobs on their way in.
#include "registry/client_fixture.h"

namespace imgbuild::registry {
namespace {

using testing::BlobDescriptor;
using testing::ClientUnderTest;
using testing::FakeRegistry;
using testing::MemorySink;
using testing::TestRequest;
using testing::TestResponse;

TEST_F(ClientTest, SmallBlobsAreVerifiedAndCapped) {
  const std::string config = "{\"os\":\"linux\"}";
  registry_.AddBlob("a/b", config);
  const auto repository = oci::Repository::Parse("r.example/a/b");
  const auto get = [&](const oci::Descriptor& descriptor, size_t cap) {
    return under_test_.client->FetchSmallBlob(repository, descriptor, cap,
                                              under_test_.cancel);
  };
  EXPECT_EQ(get(BlobDescriptor(config), 100), config);
  oci::Descriptor wrong = BlobDescriptor(config);
  wrong.size = 5;
  EXPECT_EQ(Message([&] { get(wrong, 100); }),
            "blob " + wrong.digest.ToString() +
                " of r.example/a/b: the registry has 14 bytes, the manifest "
                "says 5");
  EXPECT_EQ(Message([&] { get(BlobDescriptor(config), 5); }),
            "blob " + wrong.digest.ToString() +
                " of r.example/a/b is too large: 14 bytes, at most 5 are "
                "accepted");
}

TEST_F(ClientTest, MissingBlobSaysWhich) {
  const auto descriptor = BlobDescriptor("never stored");
  MemorySink sink;
  EXPECT_EQ(Message([&] {
              under_test_.client->FetchBlob(
                  oci::Repository::Parse("r.example/a/b"), descriptor, sink,
                  under_test_.cancel);
            }),
            "blob " + descriptor.digest.ToString() +
                " of r.example/a/b not found: GET "
                "https://r.example/v2/a/b/blobs/" +
                descriptor.digest.ToString() +
                ": BLOB_UNKNOWN: blob unknown to registry");
}

TEST_F(ClientTest, BlobExists) {
  const auto repository = oci::Repository::Parse("r.example/a/b");
  EXPECT_TRUE(under_test_.client->BlobExists(
      repository, oci::Digest::OfBytes(layer_), under_test_.cancel));
  EXPECT_FALSE(under_test_.client->BlobExists(
      repository, oci::Digest::OfBytes("no"), under_test_.cancel));
}

TEST_F(ClientTest, RedirectsDropTheAuthorization) {
  registry_.auth = FakeRegistry::Auth::kBasic;
  registry_.blob_redirect = "https://cdn.example";
  transport_.Serve("https://cdn.example", [this](const TestRequest&) {
    TestResponse response;
    response.body = layer_;
    return response;
  });
  Credentials credentials;
  credentials.username = registry_.username;
  credentials.password = registry_.password;
  under_test_.credentials.by_host["r.example"] = credentials;
  MemorySink sink;
  under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                BlobDescriptor(layer_), sink,
                                under_test_.cancel);
  EXPECT_EQ(sink.bytes(), layer_);
  const TestRequest last = transport_.requests().back();
  EXPECT_EQ(last.origin, "https://cdn.example");
  EXPECT_EQ(last.query, "X-Signature=presigned-secret");
  EXPECT_EQ(last.Header("Authorization"), "");
}

TEST_F(ClientTest, APresignedUrlIsNeverShown) {
  registry_.blob_redirect = "https://cdn.example";
  transport_.Serve("https://cdn.example", [](const TestRequest&) {
    return testing::RegistryError(403, "AccessDenied", "expired");
  });
  MemorySink sink;
  const std::string message = Message([&] {
    under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                  BlobDescriptor(layer_), sink,
                                  under_test_.cancel);
  });
  EXPECT_EQ(message.find("presigned-secret"), std::string::npos);
  EXPECT_NE(message.find("AccessDenied"), std::string::npos);
}

TEST_F(ClientTest, ATokenThatDiesInTheMiddleOfALayer) {
  registry_.auth = FakeRegistry::Auth::kToken;
  registry_.anonymous_pull = true;
  const std::string big(100000, 'x');
  registry_.AddBlob("a/b", big);
  bool first = true;
  transport_.Serve("https://r.example", [&](const TestRequest& request) {
    TestResponse response = registry_.Handle(request);
    if (response.body.size() == big.size() && first) {
      first = false;
      response.cut_after = 40000;
      registry_.RevokeTokens();
    }
    return response;
  });
  MemorySink sink;
  under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                BlobDescriptor(big), sink, under_test_.cancel);
  EXPECT_EQ(sink.bytes(), big);
  EXPECT_EQ(sink.restarts(), 0);
  const TestRequest last = transport_.requests().back();
  EXPECT_EQ(last.Header("Range"), "bytes=40000-");
}

TEST_F(ClientTest, BytesOfAnEarlierRunAreKept) {
  const std::string big(100000, 'x');
  registry_.AddBlob("a/b", big);
  const auto fetch = [&](MemorySink& sink) {
    under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                  BlobDescriptor(big), sink,
                                  under_test_.cancel);
    EXPECT_EQ(sink.bytes(), big);
  };
  MemorySink half(big.substr(0, 50000));
  fetch(half);
  EXPECT_EQ(transport_.requests().back().Header("Range"), "bytes=50000-");
  EXPECT_EQ(half.restarts(), 0);

  MemorySink whole(big);
  const size_t before = transport_.requests().size();
  fetch(whole);
  EXPECT_EQ(transport_.requests().size(), before);

  MemorySink damaged(std::string(50000, 'y'));
  fetch(damaged);
  EXPECT_EQ(damaged.restarts(), 1);

  MemorySink unreadable(big.substr(0, 50000), false);
  fetch(unreadable);
  EXPECT_EQ(unreadable.restarts(), 1);
  EXPECT_EQ(transport_.requests().back().Header("Range"), "");

  MemorySink too_much(big + "z");
  fetch(too_much);
  EXPECT_EQ(too_much.restarts(), 1);
}

TEST_F(ClientTest, ASinkThatChecksTheDigestItself) {
  class Checking : public MemorySink {
   public:
    using MemorySink::MemorySink;
    bool ChecksDigest() const override { return true; }
    bool ReadKept(Writer&) override {
      ADD_FAILURE() << "nobody needs the kept bytes";
      return false;
    }
  };
  const std::string big(100000, 'x');
  registry_.AddBlob("a/b", big);
  const auto fetch = [&](MemorySink& sink, const oci::Descriptor& descriptor) {
    under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                  descriptor, sink, under_test_.cancel);
  };
  Checking half(big.substr(0, 50000));
  fetch(half, BlobDescriptor(big));
  EXPECT_EQ(half.bytes(), big);
  EXPECT_EQ(transport_.requests().back().Header("Range"), "bytes=50000-");
  // Judging the bytes is left to it; their number is not.
  Checking odd(std::string(50000, 'y'));
  fetch(odd, BlobDescriptor(big));
  EXPECT_EQ(odd.bytes().size(), big.size());
  oci::Descriptor shorter = BlobDescriptor(big);
  shorter.size = 99999;
  Checking fresh;
  EXPECT_THROW(fetch(fresh, shorter), Error);
}

TEST_F(ClientTest, BytesFromAMirrorThatDiedAreKept) {
  const std::string big(100000, 'x');
  registry_.AddBlob("a/b", big);
  transport_.Serve("https://m.example", [&](const TestRequest& request) {
    TestResponse response = registry_.Handle(request);
    response.cut_after = 30000;
    return response;
  });
  under_test_.hosts.mirrors = {"https://m.example"};
  MemorySink sink;
  under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                BlobDescriptor(big), sink, under_test_.cancel);
  EXPECT_EQ(sink.bytes(), big);
  EXPECT_EQ(transport_.requests().back().Header("Range"), "bytes=30000-");
}

TEST_F(ClientTest, AFailingSinkIsNotTheRegistrysFault) {
  class FullDisk : public BlobSink {
   public:
    void Write(Bytes) override {
      throw TransportError(TransportError::Kind::kTransfer, "the other end");
    }
    void Restart() override {}
  } sink;
  EXPECT_EQ(Message([&] {
              under_test_.client->FetchBlob(
                  oci::Repository::Parse("r.example/a/b"),
                  BlobDescriptor(layer_), sink, under_test_.cancel);
            }),
            "the other end");
  EXPECT_EQ(transport_.requests().size(), 1U);
}

TEST_F(ClientTest, RedirectToPlainHttpIsRefused) {
  registry_.blob_redirect = "http://cdn.example";
  MemorySink sink;
  EXPECT_EQ(Message([&] {
              under_test_.client->FetchBlob(
                  oci::Repository::Parse("r.example/a/b"),
                  BlobDescriptor(layer_), sink, under_test_.cancel);
            }),
            "GET https://r.example/v2/a/b/blobs/" +
                oci::Digest::OfBytes(layer_).ToString() +
                ": redirect from https to plain http refused");
}

TEST_F(ClientTest, ForeignLayersStayAwayFromTheirUrls) {
  oci::Descriptor descriptor = BlobDescriptor(layer_);
  descriptor.media_type =
      "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
  descriptor.urls = {"https://foreign.example/layer"};
  MemorySink sink;
  under_test_.client->FetchBlob(oci::Repository::Parse("r.example/a/b"),
                                descriptor, sink, under_test_.cancel);
  EXPECT_EQ(transport_.requests()[0].origin, "https://r.example");

  ClientOptions options;
  options.allow_foreign_urls = true;
  ClientUnderTest allowed(transport_, clock_, options);
  transport_.Serve("https://foreign.example", [this](const TestRequest&) {
    TestResponse response;
    response.body = layer_;
    return response;
  });
  MemorySink other;
  allowed.client->FetchBlob(oci::Repository::Parse("r.example/a/b"), descriptor,
                            other, allowed.cancel);
  EXPECT_EQ(transport_.requests().back().origin, "https://foreign.example");
  EXPECT_EQ(other.bytes(), layer_);
}

}  // namespace
}  // namespace imgbuild::registry
