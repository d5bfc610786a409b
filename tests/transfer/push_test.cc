#include "imgbuild/transfer/push.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>

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

class PushTest : public ::testing::Test {
 protected:
  void SetUp() override {
    digest_ = home_.AddImage("a/b", "t", "not unpacked here");
    transport_.Serve("https://r.example", home_.Handler());
    transport_.Serve("https://other.example", other_.Handler());
    image_ = transfer_.Resolve(oci::Reference::Parse("r.example/a/b:t"),
                               oci::Platform::Parse("linux/amd64"),
                               PullPolicy::kAlways);
  }
  CopyResult PushTo(const std::string& name) {
    CopyOptions options;
    options.on_blob = [&](const oci::Descriptor&,
                          const registry::PushOutcome& outcome) {
      outcomes_.push_back(outcome);
    };
    outcomes_.clear();
    return Push(*store_, *under_test_.client, transfer_, image_->manifest,
                oci::Reference::Parse(name), options, cancel_);
  }
  bool Asked(const std::string& start) const {
    const std::vector<std::string> log = transport_.Log();
    return std::ranges::any_of(
        log, [&](const std::string& line) { return line.starts_with(start); });
  }

  FakeRegistry home_;
  FakeRegistry other_;
  std::string digest_;
  ScriptedTransport transport_;
  FakeClock clock_;
  ClientUnderTest under_test_{transport_, clock_};
  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  CancelToken cancel_;
  Transfer transfer_{*store_, *under_test_.client, {}, cancel_};
  std::optional<plan::ResolvedImage> image_;
  std::vector<registry::PushOutcome> outcomes_;
};

TEST_F(PushTest, TheDigestOverThereIsTheDigestHere) {
  transfer_.EnsureBlobs(LayersOf(*image_));
  const CopyResult result = PushTo("other.example/x/y:1");
  EXPECT_EQ(result.digest.ToString(), digest_);
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "t"));
  EXPECT_EQ(other_.Manifest("x/y", digest_), home_.Manifest("a/b", "t"));
  EXPECT_EQ(outcomes_, (std::vector<registry::PushOutcome>(
                           2, registry::PushOutcome::kUploaded)));
}

TEST_F(PushTest, WhatIsThereIsNotSentAgain) {
  transfer_.EnsureBlobs(LayersOf(*image_));
  PushTo("other.example/x/y:1");
  PushTo("other.example/x/y:2");
  EXPECT_EQ(outcomes_, (std::vector<registry::PushOutcome>(
                           2, registry::PushOutcome::kExists)));
  EXPECT_EQ(other_.Manifest("x/y", "2"), home_.Manifest("a/b", "t"));
}

TEST_F(PushTest, ALayerThatWasNeverFetchedIsMounted) {
  PushTo("r.example/c/d:1");
  EXPECT_EQ(home_.Manifest("c/d", "1"), home_.Manifest("a/b", "t"));
  const std::string layer = image_->layers.at(0).digest.ToString();
  EXPECT_FALSE(Asked("GET https://r.example/v2/a/b/blobs/" + layer));
  EXPECT_NE(
      std::ranges::find(outcomes_, registry::PushOutcome(
                                       registry::PushOutcome::kMounted, "a/b")),
      outcomes_.end());
}

TEST_F(PushTest, ALayerThatIsNowhereElseIsFetchedFirst) {
  PushTo("other.example/x/y:1");
  const std::string layer = image_->layers.at(0).digest.ToString();
  EXPECT_TRUE(Asked("GET https://r.example/v2/a/b/blobs/" + layer));
  EXPECT_EQ(other_.Blob("x/y", layer), "not unpacked here");
}

TEST_F(PushTest, WithoutATagByDigestOnly) {
  PushTo("other.example/x/y");
  EXPECT_EQ(other_.Manifest("x/y", digest_), home_.Manifest("a/b", "t"));
  EXPECT_EQ(other_.Manifest("x/y", "latest"), "");
}

// Layer and config go at the same time: both first requests are refused for
// want of credentials, and both must come again with them.
TEST_F(PushTest, RequestsSideBySideAllLogIn) {
  transfer_.EnsureBlobs(LayersOf(*image_));
  other_.auth = FakeRegistry::Auth::kBasic;
  std::latch both(2);
  std::atomic<int> anonymous{0};
  transport_.Serve(
      "https://other.example", [&](const testing::TestRequest& request) {
        const auto response = other_.Handle(request);
        if (request.Header("Authorization").empty() && anonymous++ < 2) {
          both.arrive_and_wait();
        }
        return response;
      });
  under_test_.credentials.by_host["other.example"] = {
      other_.username, other_.password, "", "", "a test", ""};
  PushTo("other.example/x/y:1");
  EXPECT_EQ(anonymous, 2);
  EXPECT_EQ(other_.Manifest("x/y", "1"), home_.Manifest("a/b", "t"));
}

TEST_F(PushTest, AManifestThatIsGoneIsNamed) {
  store_->content().Remove(image_->manifest);
  try {
    PushTo("other.example/x/y:1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(), "manifest " + digest_ + " is not in the store");
  }
  EXPECT_FALSE(Asked("PUT https://other.example"));
}

}  // namespace
}  // namespace imgbuild::transfer
