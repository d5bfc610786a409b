#include "imgbuild/transfer/transfer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"

#include "support/fake_clock.h"
#include "support/fake_registry.h"
#include "support/memory_store.h"
#include "support/registry_doubles.h"
#include "support/scripted_transport.h"

namespace imgbuild::transfer {
namespace {

using testing::ClientUnderTest;
using testing::FakeClock;
using testing::FakeRegistry;
using testing::ScriptedTransport;

const oci::Platform kAmd64 = oci::Platform::Parse("linux/amd64");

// An uncompressed layer with one file.
std::string LayerWith(const std::string& path, const std::string& text) {
  StringWriter out;
  ThreadPool pool(1);
  layer::LayerWriter writer(out, pool, oci::Compression::kNone);
  layer::Entry entry;
  entry.path = path;
  entry.mode = 0644;
  entry.size = text.size();
  StringReader reader(text);
  writer.Add(entry, &reader);
  writer.Finish();
  return out.Take();
}

class TransferTest : public ::testing::Test {
 protected:
  void SetUp() override {
    digest_ = registry_.AddImage("a/b", "t", LayerWith("hello", "world"));
    transport_.Serve("https://r.example", registry_.Handler());
  }
  // The message of what `action` throws.
  template <typename F>
  std::string Message(ErrorCode code, F action) {
    try {
      action();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.message();
    }
    return "(nothing was thrown)";
  }
  PullResult Pull(const std::string& name,
                  PullPolicy policy = PullPolicy::kAlways) {
    return transfer_.Pull(oci::Reference::Parse(name), kAmd64, policy);
  }
  std::vector<std::string> NewRequests() {
    const std::vector<std::string> log = transport_.Log();
    std::vector<std::string> fresh(log.begin() + static_cast<long>(seen_),
                                   log.end());
    seen_ = log.size();
    return fresh;
  }

  std::string digest_;
  FakeRegistry registry_;
  ScriptedTransport transport_;
  FakeClock clock_;
  ClientUnderTest under_test_{transport_, clock_};
  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  CancelToken cancel_;
  Transfer transfer_{*store_, *under_test_.client, {}, cancel_};
  size_t seen_ = 0;
};

TEST_F(TransferTest, APulledImageIsWholeNamedAndUnpacked) {
  const PullResult pulled = Pull("r.example/a/b:t");
  EXPECT_FALSE(pulled.up_to_date);
  EXPECT_EQ(pulled.image.target.ToString(), digest_);
  const auto match = store_->images().Find("r.example/a/b:t");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->image.manifest.ToString(), digest_);
  EXPECT_TRUE(store_->images().Find("r.example/a/b@" + digest_));
  for (const LayerName& layer : LayersOf(pulled.image)) {
    EXPECT_TRUE(store_->content().Has(layer.blob.digest));
    EXPECT_TRUE(store_->snapshots().Has(layer.diff_id));
  }
  const auto tree = store_->snapshots().View(pulled.image.config.diff_ids);
  EXPECT_EQ(ReadFromTree(*tree, "hello", 100), "world");
}

TEST_F(TransferTest, PullingAgainCostsOneHead) {
  Pull("r.example/a/b:t");
  NewRequests();
  EXPECT_TRUE(Pull("r.example/a/b:t").up_to_date);
  EXPECT_EQ(NewRequests(), std::vector<std::string>{
                               "HEAD https://r.example/v2/a/b/manifests/t"});
}

TEST_F(TransferTest, ADigestThatIsHereCostsNoRequest) {
  Pull("r.example/a/b:t");
  NewRequests();
  const oci::Reference pinned =
      oci::Reference::Parse("r.example/a/b@" + digest_);
  EXPECT_EQ(transfer_.Resolve(pinned, kAmd64, PullPolicy::kAlways)
                .manifest.ToString(),
            digest_);
  transfer_.EnsureUnpacked(
      LayersOf(transfer_.Resolve(pinned, kAmd64, PullPolicy::kNever)));
  EXPECT_TRUE(NewRequests().empty());
}

TEST_F(TransferTest, ALayerThatBreaksOnTheWayIsContinued) {
  registry_.AddImage("a/big", "t", LayerWith("f", std::string(300000, 'x')));
  int cuts = 2;
  transport_.Serve("https://r.example", [&](const auto& request) {
    auto response = registry_.Handle(request);
    if (response.body.size() > 100000 && cuts-- > 0) response.cut_after = 90000;
    return response;
  });
  const PullResult pulled = Pull("r.example/a/big:t");
  const auto tree = store_->snapshots().View(pulled.image.config.diff_ids);
  EXPECT_EQ(ReadFromTree(*tree, "f", 1 << 20), std::string(300000, 'x'));
  EXPECT_EQ(transport_.requests().back().Header("Range"), "bytes=180000-");
}

TEST_F(TransferTest, ALayerThatBeginsAgainIsNotUnpackedTwice) {
  registry_.AddImage("a/big", "t", LayerWith("f", std::string(300000, 'x')));
  bool first = true;
  transport_.Serve("https://r.example", [&](const auto& request) {
    if (!request.Header("Range").empty()) {
      return testing::RegistryError(416, "RANGE_INVALID", "no");
    }
    auto response = registry_.Handle(request);
    if (response.body.size() > 100000 && first) {
      first = false;
      response.cut_after = 90000;
    }
    return response;
  });
  const PullResult pulled = Pull("r.example/a/big:t");
  const auto tree = store_->snapshots().View(pulled.image.config.diff_ids);
  EXPECT_EQ(ReadFromTree(*tree, "f", 1 << 20), std::string(300000, 'x'));
}

TEST_F(TransferTest, WrongBytesAreTriedOnceMoreAndGetNoName) {
  const std::string layer = LayerWith("f", std::string(300000, 'x'));
  registry_.AddImage("a/big", "t", layer);
  int wrong = 1;
  transport_.Serve("https://r.example", [&](const auto& request) {
    auto response = registry_.Handle(request);
    if (response.body.size() > 100000 && wrong-- > 0) response.body[5] ^= 1;
    return response;
  });
  Pull("r.example/a/big:t");
  registry_.AddImage("a/bad", "t", LayerWith("f", std::string(300000, 'y')));
  wrong = 1000;
  const auto digest =
      oci::Digest::OfBytes(LayerWith("f", std::string(300000, 'y')));
  EXPECT_NE(Message(ErrorCode::kRegistry, [&] { Pull("r.example/a/bad:t"); })
                .find(digest.ToString()),
            std::string::npos);
  EXPECT_FALSE(store_->content().Has(digest));
  EXPECT_FALSE(store_->images().Find("r.example/a/bad:t"));
}

TEST_F(TransferTest, ATagThatIsHereIsTakenUnlessAskedToLook) {
  Pull("r.example/a/b:t");
  const std::string moved =
      registry_.AddImage("a/b", "t", LayerWith("hello", "moon"));
  const oci::Reference tag = oci::Reference::Parse("r.example/a/b:t");
  EXPECT_EQ(
      transfer_.Resolve(tag, kAmd64, PullPolicy::kMissing).target.ToString(),
      digest_);
  EXPECT_EQ(
      transfer_.Resolve(tag, kAmd64, PullPolicy::kAlways).target.ToString(),
      moved);
}

TEST_F(TransferTest, PulledByDigestKeepsTheTagAsAHintAndMovesNone) {
  Pull("r.example/a/b:t@" + digest_);
  EXPECT_FALSE(store_->images().Find("r.example/a/b:t"));
  const auto match = store_->images().Find("r.example/a/b@" + digest_);
  ASSERT_TRUE(match);
  ASSERT_TRUE(match->name);
  EXPECT_EQ(match->name->tag, std::nullopt);
  EXPECT_EQ(match->name->tag_hint, "t");
}

TEST_F(TransferTest, NeverMeansTheStoreOnly) {
  EXPECT_EQ(Message(ErrorCode::kUsage,
                    [&] { Pull("r.example/a/b:t", PullPolicy::kNever); }),
            "r.example/a/b:t is not in the store");
  EXPECT_TRUE(NewRequests().empty());
}

TEST_F(TransferTest, ALayerThatUnpacksToSomethingElseGetsNoName) {
  const std::string lie = LayerWith("hello", "liar");
  const std::string config =
      R"({"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":)"
      R"("layers","diff_ids":["sha256:)" +
      std::string(64, '1') + R"("]}})";
  const std::string config_digest = registry_.AddBlob("a/b", config);
  const std::string layer_digest = registry_.AddBlob("a/b", lie);
  registry_.AddManifest(
      "a/b", "bad",
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest)"
      R"(.v1+json","config":{"mediaType":"application/vnd.oci.image.config)"
      R"(.v1+json","digest":")" +
          config_digest + R"(","size":)" + std::to_string(config.size()) +
          R"(},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1)"
          R"(.tar","digest":")" +
          layer_digest + R"(","size":)" + std::to_string(lie.size()) + "}]}",
      std::string(oci::media_type::kOciManifest));
  EXPECT_EQ(Message(ErrorCode::kRegistry, [&] { Pull("r.example/a/b:bad"); }),
            "layer " + layer_digest + " unpacks to " +
                oci::Digest::OfBytes(lie).ToString() +
                ", but the image config says sha256:" + std::string(64, '1'));
  EXPECT_FALSE(store_->images().Find("r.example/a/b:bad"));
  EXPECT_TRUE(store_->snapshots().List().empty());
}

TEST_F(TransferTest, AnIndexGivesThePlatformsManifest) {
  const std::string manifest = registry_.Manifest("a/b", "t");
  const std::string index =
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1)"
      R"(+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest)"
      R"(.v1+json","digest":")" +
      digest_ + R"(","size":)" + std::to_string(manifest.size()) +
      R"(,"platform":{"os":"linux","architecture":"amd64"}}]})";
  const std::string index_digest = registry_.AddManifest(
      "a/b", "multi", index, std::string(oci::media_type::kOciIndex));
  const PullResult pulled = Pull("r.example/a/b:multi");
  EXPECT_EQ(pulled.image.target.ToString(), index_digest);
  EXPECT_EQ(pulled.image.manifest.ToString(), digest_);
  EXPECT_TRUE(store_->images().Find("r.example/a/b@" + index_digest));
  EXPECT_EQ(Message(
                ErrorCode::kRegistry,
                [&] {
                  transfer_.Resolve(
                      oci::Reference::Parse("r.example/a/b:multi"),
                      oci::Platform::Parse("linux/s390x"), PullPolicy::kAlways);
                }).find("linux/amd64") != std::string::npos,
            true);
}

TEST_F(TransferTest, ALayerThatIsGoneIsFetchedFromWhereItWasSeen) {
  const PullResult pulled = Pull("r.example/a/b:t");
  const LayerName layer = LayersOf(pulled.image).front();
  store_->content().Remove(layer.blob.digest);
  NewRequests();
  transfer_.EnsureBlobs({layer});
  EXPECT_TRUE(store_->content().Has(layer.blob.digest));
  EXPECT_EQ(NewRequests(),
            std::vector<std::string>{"GET https://r.example/v2/a/b/blobs/" +
                                     layer.blob.digest.ToString()});
}

TEST_F(TransferTest, ALayerThatWasNeverSeenIsAnError) {
  const LayerName layer{oci::DiffId(oci::Digest::OfBytes("x")),
                        {std::string(oci::media_type::kOciLayerTar),
                         oci::Digest::OfBytes("x"),
                         1,
                         {},
                         {},
                         {},
                         {}}};
  EXPECT_EQ(Message(ErrorCode::kHost, [&] { transfer_.EnsureBlobs({layer}); }),
            "layer " + layer.blob.digest.ToString() +
                " is not in the store, and no registry is known to have it");
}

TEST_F(TransferTest, AnArtifactIsNoImage) {
  const std::string config = "{}";
  const std::string digest = registry_.AddBlob("a/b", config);
  registry_.AddManifest(
      "a/b", "chart",
      R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest)"
      R"(.v1+json","config":{"mediaType":"application/vnd.cncf.helm.config)"
      R"(.v1+json","digest":")" +
          digest + R"(","size":2},"layers":[]})",
      std::string(oci::media_type::kOciManifest));
  EXPECT_EQ(Message(ErrorCode::kRegistry, [&] { Pull("r.example/a/b:chart"); }),
            "r.example/a/b:chart is not an image that can run: its config is "
            "of the type application/vnd.cncf.helm.config.v1+json");
}

}  // namespace
}  // namespace imgbuild::transfer
