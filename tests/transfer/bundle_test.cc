// Bundles written and read: what the lock names comes in, nothing else does,
// and nothing is believed.
#include "imgbuild/transfer/bundle.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/output_file.h"
#include "imgbuild/util/thread_pool.h"

#include "support/memory_store.h"

namespace imgbuild::transfer {
namespace {

class BundleTest : public ::testing::Test {
 protected:
  BundleTest() {
    for (const std::string text : {"one\n", "two\n", ""}) Add(text);
  }

  void Add(const std::string& text) {
    const oci::Digest digest = from_->content().Put(text);
    blobs_.push_back({"application/octet-stream",
                      digest,
                      text.size(),
                      std::nullopt,
                      {},
                      {},
                      {}});
    wanted_.emplace(digest, text.size());
  }
  std::string Path(const std::string& name) const {
    return dir_.path() + "/" + name;
  }
  std::string Tar() {
    OutputFile out(Path("b.tar"));
    WriteArchiveTar(BundleArchive({}, blobs_), 0, *from_, pool_, out);
    out.Commit();
    return Path("b.tar");
  }
  std::string Directory() {
    fs::MakeDirs(dir_.fd(), "layout", 0755);
    const UniqueFd fd = fs::OpenDir(dir_.fd(), "layout");
    WriteArchiveDirectory(BundleArchive({}, blobs_), *from_, fd.get());
    return Path("layout");
  }
  // The message of what reading it throws, "" when it does not.
  std::string Failure(const std::string& path, ErrorCode code) {
    try {
      ImportBlobs(*to_, path, wanted_, CancelToken());
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code);
      return error.message();
    }
  }
  // Replaces text in a file of the layout or in the tar.
  void Damage(const std::string& name, const std::string& from,
              const std::string& to) {
    std::string bytes = fs::ReadFile(dir_.fd(), name, 1u << 20);
    const size_t at = bytes.find(from);
    ASSERT_NE(at, std::string::npos);
    bytes.replace(at, from.size(), to);
    fs::WriteFileAtomic(dir_.fd(), name, bytes);
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
  ThreadPool pool_{1};
  std::unique_ptr<store::Store> from_ = store::NewMemoryStore();
  std::unique_ptr<store::Store> to_ = store::NewMemoryStore();
  std::vector<oci::Descriptor> blobs_;
  std::map<oci::Digest, uint64_t> wanted_;
};

TEST_F(BundleTest, ThereAndBack) {
  for (const std::string& path : {Tar(), Directory()}) {
    to_ = store::NewMemoryStore();
    EXPECT_EQ(ImportBlobs(*to_, path, wanted_, CancelToken()), 3u);
    for (const auto& [digest, size] : wanted_) {
      EXPECT_EQ(to_->content().Size(digest), size);
    }
  }
}

TEST_F(BundleTest, OnlyWhatIsWantedComesIn) {
  Tar();
  wanted_.erase(oci::Digest::OfBytes("two\n"));
  wanted_.emplace(oci::Digest::OfBytes("not there"), 9);
  EXPECT_EQ(ImportBlobs(*to_, Path("b.tar"), wanted_, CancelToken()), 2u);
  EXPECT_EQ(to_->content().List().size(), 2u);
}

TEST_F(BundleTest, OtherBytesAreRefused) {
  const std::string file =
      "layout/blobs/sha256/" + oci::Digest::OfBytes("two\n").hex();
  Directory();
  Tar();
  Damage(file, "two", "owt");
  Damage("b.tar", "two\n", "owt\n");
  for (const std::string& path : {Path("layout"), Path("b.tar")}) {
    to_ = store::NewMemoryStore();
    EXPECT_NE(Failure(path, ErrorCode::kRegistry), "");
    EXPECT_FALSE(to_->content().Has(oci::Digest::OfBytes("two\n")));
    EXPECT_FALSE(to_->content().Has(oci::Digest::OfBytes("owt\n")));
  }
  Damage(file, "owt", "two and more");
  EXPECT_EQ(Failure(Path("layout"), ErrorCode::kRegistry),
            oci::Digest::OfBytes("two\n").ToString() +
                " has 13 bytes in the bundle, it must have 4");
}

// The size of the lock is the cap, not what the bundle says.
TEST_F(BundleTest, MoreThanTheLockSaysIsNotRead) {
  blobs_.clear();
  wanted_.clear();
  Add(std::string(1u << 20, 'x'));
  Directory();
  Tar();
  wanted_.begin()->second = 5;
  for (const std::string& path : {Path("layout"), Path("b.tar")}) {
    EXPECT_EQ(Failure(path, ErrorCode::kRegistry),
              wanted_.begin()->first.ToString() +
                  " has 1048576 bytes in the bundle, it must have 5");
  }
  EXPECT_TRUE(to_->content().List().empty());
}

TEST_F(BundleTest, ALinkOutOfTheLayoutIsNotFollowed) {
  Directory();
  const std::string file =
      "layout/blobs/sha256/" + oci::Digest::OfBytes("two\n").hex();
  fs::WriteFileAtomic(dir_.fd(), "outside", "two\n");
  ASSERT_EQ(::unlinkat(dir_.fd(), file.c_str(), 0), 0);
  ASSERT_EQ(::symlinkat("../../../outside", dir_.fd(), file.c_str()), 0);
  EXPECT_EQ(ImportBlobs(*to_, Path("layout"), wanted_, CancelToken()), 2u);
  EXPECT_FALSE(to_->content().Has(oci::Digest::OfBytes("two\n")));
}

TEST_F(BundleTest, ATarThatIsCutOffIsAnError) {
  const std::string bytes = fs::ReadFile(AT_FDCWD, Tar(), 1u << 20);
  fs::WriteFileAtomic(dir_.fd(), "cut", bytes.substr(0, bytes.size() / 3));
  EXPECT_NE(Failure(Path("cut"), ErrorCode::kRegistry), "");
}

TEST_F(BundleTest, WhatIsNoBundle) {
  EXPECT_EQ(Failure(Path("none"), ErrorCode::kUsage),
            "there is no bundle at \"" + Path("none") + "\"");
  EXPECT_EQ(Failure("/dev/null", ErrorCode::kUsage),
            "the bundle \"/dev/null\" is neither a file nor a directory");
  fs::WriteFileAtomic(dir_.fd(), "text", "this is no tar\n");
  EXPECT_NE(Failure(Path("text"), ErrorCode::kRegistry), "");
}

}  // namespace
}  // namespace imgbuild::transfer
