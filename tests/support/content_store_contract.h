// What every ContentStore does. Include in one test file of a binary and
// instantiate with a factory for each implementation.
#ifndef IMGBUILD_TESTS_SUPPORT_CONTENT_STORE_CONTRACT_H_
#define IMGBUILD_TESTS_SUPPORT_CONTENT_STORE_CONTRACT_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "imgbuild/store/content_store.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/store_fixture.h"

namespace imgbuild::store {

class ContentStoreContract : public testing::TestWithParam<StoreFactory> {
 protected:
  void SetUp() override { fixture_ = GetParam().make(); }
  ContentStore& content() { return fixture_->store().content(); }
  static oci::Digest DigestOf(const std::string& text) {
    return oci::Digest::OfBytes(text);
  }
  std::unique_ptr<StoreFixture> fixture_;
};

TEST_P(ContentStoreContract, PutMakesTheContentKnownByItsDigest) {
  const oci::Digest digest = content().Put("hello");
  EXPECT_EQ(digest, DigestOf("hello"));
  EXPECT_TRUE(content().Has(digest));
  EXPECT_EQ(content().Size(digest), 5u);
  EXPECT_EQ(content().Read(digest, 100), "hello");
  EXPECT_EQ(content().List(), std::vector<oci::Digest>{digest});
}

TEST_P(ContentStoreContract, PutTwiceIsPutOnce) {
  EXPECT_EQ(content().Put("hello"), content().Put("hello"));
  EXPECT_EQ(content().List().size(), 1u);
}

TEST_P(ContentStoreContract, TheEmptyBlobIsABlob) {
  const oci::Digest digest = content().Put("");
  EXPECT_EQ(content().Size(digest), 0u);
  EXPECT_EQ(content().Read(digest, 0), "");
}

TEST_P(ContentStoreContract, ANoteGoesWithItsBlob) {
  const oci::Digest digest = content().Put("hello");
  EXPECT_EQ(content().Note(digest), std::nullopt);
  content().SetNote(digest, "first");
  content().SetNote(digest, std::string(100'000, 'n'));
  EXPECT_EQ(content().Note(digest), std::string(100'000, 'n'));
  EXPECT_EQ(content().List().size(), 1u);
  content().Remove(digest);
  EXPECT_EQ(content().Note(digest), std::nullopt);
  content().Put("hello");
  EXPECT_EQ(content().Note(digest), std::nullopt);
}

TEST_P(ContentStoreContract, AbsentIsNotAnError) {
  const oci::Digest digest = DigestOf("nothing");
  EXPECT_FALSE(content().Has(digest));
  EXPECT_EQ(content().Size(digest), std::nullopt);
  EXPECT_FALSE(content().Open(digest).has_value());
  EXPECT_EQ(content().Read(digest, 100), std::nullopt);
  content().Remove(digest);
}

TEST_P(ContentStoreContract, OpenStartsAtTheBeginningEachTime) {
  const oci::Digest digest = content().Put("hello");
  for (int i = 0; i < 2; ++i) {
    const auto file = content().Open(digest);
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ(fs::ReadFd(file->get(), 100, "blob"), "hello");
  }
}

TEST_P(ContentStoreContract, ReadRefusesMoreThanTheCap) {
  const oci::Digest digest = content().Put("hello");
  EXPECT_THROW(content().Read(digest, 4), Error);
}

TEST_P(ContentStoreContract, NothingIsThereBeforeCommit) {
  const oci::Digest digest = DigestOf("hello");
  {
    const auto ingest = content().Begin(digest, 5);
    EXPECT_EQ(ingest->offset(), 0u);
    ingest->Write(AsBytes("hello"));
    EXPECT_FALSE(content().Has(digest));
  }
  EXPECT_FALSE(content().Has(digest));
  EXPECT_TRUE(content().List().empty());
}

TEST_P(ContentStoreContract, CommitChecksTheDigest) {
  const auto ingest = content().Begin(DigestOf("hello"), std::nullopt);
  ingest->Write(AsBytes("hullo"));
  try {
    ingest->Commit();
    FAIL() << "committed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
    EXPECT_EQ(error.message(), "blob " + DigestOf("hello").ToString() +
                                   ": the content has the digest " +
                                   DigestOf("hullo").ToString());
    EXPECT_FALSE(error.temporary());
  }
  EXPECT_TRUE(content().List().empty());
}

TEST_P(ContentStoreContract, CommitChecksTheSize) {
  const auto ingest = content().Begin(DigestOf("hello"), 6);
  ingest->Write(AsBytes("hello"));
  try {
    ingest->Commit();
    FAIL() << "committed";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "blob " + DigestOf("hello").ToString() +
                                   ": 5 bytes came instead of 6");
    EXPECT_TRUE(error.temporary());
  }
  EXPECT_TRUE(content().List().empty());
}

TEST_P(ContentStoreContract, TooMuchIsRefusedAtOnce) {
  const auto ingest = content().Begin(std::nullopt, 4);
  ingest->Write(AsBytes("hell"));
  EXPECT_THROW(ingest->Write(AsBytes("o")), Error);
}

TEST_P(ContentStoreContract, RestartForgetsWhatWasWritten) {
  const auto ingest = content().Begin(DigestOf("hello"), 5);
  ingest->Write(AsBytes("xxx"));
  ingest->Restart();
  ingest->Write(AsBytes("hello"));
  EXPECT_EQ(ingest->Commit(), DigestOf("hello"));
}

TEST_P(ContentStoreContract, Sha512IsADigestToo) {
  const auto digest =
      oci::Digest::OfBytes("hello", oci::DigestAlgorithm::kSha512);
  const auto ingest = content().Begin(digest, 5);
  ingest->Write(AsBytes("hello"));
  EXPECT_EQ(ingest->Commit(), digest);
  EXPECT_EQ(content().Read(digest, 5), "hello");
  EXPECT_EQ(content().List(), std::vector<oci::Digest>{digest});
  content().Remove(digest);
  EXPECT_FALSE(content().Has(digest));
}

TEST_P(ContentStoreContract, TheFasterOfTwoIngestsWins) {
  const auto first = content().Begin(DigestOf("hello"), 5);
  const auto second = content().Begin(DigestOf("hello"), 5);
  first->Write(AsBytes("hello"));
  second->Write(AsBytes("hello"));
  EXPECT_EQ(second->Commit(), DigestOf("hello"));
  EXPECT_EQ(first->Commit(), DigestOf("hello"));
  EXPECT_EQ(content().List().size(), 1u);
}

TEST_P(ContentStoreContract, RemoveTakesTheBlobAway) {
  const oci::Digest digest = content().Put("hello");
  content().Remove(digest);
  EXPECT_FALSE(content().Has(digest));
  content().Remove(digest);
  EXPECT_TRUE(content().List().empty());
}

TEST_P(ContentStoreContract, AResumedIngestGoesOnWhereTheLastOneStopped) {
  const oci::Digest digest = DigestOf("hello world");
  {
    const auto ingest = content().BeginResumable(digest, 11);
    EXPECT_EQ(ingest->offset(), 0u);
    ingest->Write(AsBytes("hello"));
  }
  EXPECT_FALSE(content().Has(digest));
  {
    const auto ingest = content().BeginResumable(digest, 11);
    EXPECT_EQ(ingest->offset(), 5u);
    ingest->Write(AsBytes(" wor"));
    EXPECT_THROW(ingest->Commit(), Error);  // short: what came is kept
  }
  const auto ingest = content().BeginResumable(digest, 11);
  EXPECT_EQ(ingest->offset(), 9u);
  ingest->Write(AsBytes("ld"));
  EXPECT_EQ(ingest->Commit(), digest);
  EXPECT_EQ(content().Read(digest, 11), "hello world");
}

TEST_P(ContentStoreContract, AResumedIngestCanStartAgain) {
  const oci::Digest digest = DigestOf("hello");
  content().BeginResumable(digest, 5)->Write(AsBytes("hel"));
  const auto ingest = content().BeginResumable(digest, 5);
  ASSERT_EQ(ingest->offset(), 3u);
  ingest->Restart();
  EXPECT_EQ(ingest->offset(), 0u);
  ingest->Write(AsBytes("hello"));
  EXPECT_EQ(ingest->Commit(), digest);
}

TEST_P(ContentStoreContract, WrongBytesAreNotResumed) {
  const oci::Digest digest = DigestOf("hello");
  {
    const auto ingest = content().BeginResumable(digest, 5);
    ingest->Write(AsBytes("hullo"));
    EXPECT_THROW(ingest->Commit(), Error);
  }
  EXPECT_EQ(content().BeginResumable(digest, 5)->offset(), 0u);
  EXPECT_TRUE(content().List().empty());
}

TEST_P(ContentStoreContract, OneFetchesABlobAtATime) {
  const oci::Digest digest = DigestOf("hello");
  auto first = content().BeginResumable(digest, 5);
  first->Write(AsBytes("hello"));
  std::atomic<bool> second_began = false;
  std::thread other([&] {
    const auto second = content().BeginResumable(digest, 5);
    second_began = true;
    EXPECT_TRUE(content().Has(digest));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_FALSE(second_began);
  first->Commit();
  first.reset();
  other.join();
  EXPECT_TRUE(second_began);
}

TEST_P(ContentStoreContract, AWaitCanBeCancelled) {
  const oci::Digest digest = DigestOf("hello");
  const auto first = content().BeginResumable(digest, 5);
  CancelToken cancel;
  std::thread other([&] {
    try {
      content().BeginResumable(digest, 5, &cancel);
      ADD_FAILURE() << "did not wait";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
    }
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  cancel.Cancel();
  other.join();
}

TEST_P(ContentStoreContract, ManyThreadsPutAtOnce) {
  constexpr int kThreads = 4;
  constexpr int kBlobs = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < kBlobs; ++i) {
        content().Put("blob " + std::to_string(i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(content().List().size(), static_cast<size_t>(kBlobs));
}

}  // namespace imgbuild::store

#endif  // IMGBUILD_TESTS_SUPPORT_CONTENT_STORE_CONTRACT_H_
