// A full disk: one clear error, nothing half-made, the store goes on.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "imgbuild/util/error.h"

#include "store_test_util.h"

namespace imgbuild::store {
namespace {

// A tmpfs of 4 MiB, mounted nowhere: reached through its descriptor.
class DiskFullTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "mounting needs root";
    const UniqueFd context(::fsopen("tmpfs", FSOPEN_CLOEXEC));
    if (!context ||
        ::fsconfig(context.get(), FSCONFIG_SET_STRING, "size", "4M", 0) != 0 ||
        ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) !=
            0) {
      GTEST_SKIP() << "tmpfs cannot be mounted here: " << std::strerror(errno);
    }
    const UniqueFd mount(::fsmount(context.get(), FSMOUNT_CLOEXEC, 0));
    ASSERT_TRUE(mount);
    if (::move_mount(mount.get(), "", AT_FDCWD, dir_.path().c_str(),
                     MOVE_MOUNT_F_EMPTY_PATH) != 0) {
      GTEST_SKIP() << "tmpfs cannot be mounted here: " << std::strerror(errno);
    }
    mounted_ = true;
    store_ = Store::Open({dir_.path() + "/root", nullptr});
    store_->images().List();
  }
  void TearDown() override {
    store_.reset();
    if (mounted_) ::umount2(dir_.path().c_str(), MNT_DETACH);
  }

  // Fills the disk but for `rest` bytes.
  void Fill(size_t rest) {
    const UniqueFd file =
        fs::Open(AT_FDCWD, dir_.path() + "/filler", O_WRONLY | O_CREAT, 0600);
    const std::string block(4096, 'x');
    while (::write(file.get(), block.data(), block.size()) > 0) {
    }
    const off_t size = fs::Fstat(file.get()).st_size;
    ASSERT_EQ(::ftruncate(file.get(), size - static_cast<off_t>(rest)), 0);
  }
  void Empty() { ::unlink((dir_.path() + "/filler").c_str()); }

  template <typename Function>
  void ExpectFull(Function function) {
    try {
      function();
      ADD_FAILURE() << "there was room";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kHost);
      EXPECT_NE(error.message().find("no space left on device"),
                std::string::npos)
          << error.message();
      EXPECT_FALSE(error.hint().empty());
    }
  }

  fs::TempDir dir_ = fs::TempDir::InTmp("imgbuild-full-");
  std::unique_ptr<Store> store_;
  bool mounted_ = false;
};

TEST_F(DiskFullTest, ABlobThatDoesNotFitLeavesNothing) {
  const oci::Digest before = store_->content().Put("before");
  Fill(64 << 10);
  ExpectFull([&] { store_->content().Put(std::string(1 << 20, 'b')); });
  EXPECT_EQ(store_->content().List(), std::vector<oci::Digest>{before});
  Empty();
  const oci::Digest after = store_->content().Put(std::string(1 << 20, 'b'));
  EXPECT_TRUE(store_->content().Has(after));
}

TEST_F(DiskFullTest, ABrokenDownloadIsResumedWhenThereIsRoom) {
  const std::string content(1 << 20, 'c');
  const oci::Digest digest = oci::Digest::OfBytes(content);
  Fill(300 << 10);
  ExpectFull([&] {
    const auto ingest =
        store_->content().BeginResumable(digest, content.size());
    for (size_t at = 0; at < content.size(); at += 64 << 10) {
      ingest->Write(AsBytes(std::string_view(content).substr(at, 64 << 10)));
    }
  });
  Empty();
  const auto ingest = store_->content().BeginResumable(digest, content.size());
  EXPECT_GT(ingest->offset(), 64u << 10);
  ingest->Write(AsBytes(std::string_view(content).substr(ingest->offset())));
  EXPECT_EQ(ingest->Commit(), digest);
}

TEST_F(DiskFullTest, ALayerThatDoesNotFitIsNotThere) {
  Fill(16 << 10);
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  ExpectFull([&] {
    const auto pending = store_->snapshots().Begin();
    for (int i = 0;; ++i) {
      const UniqueFd file =
          fs::Open(pending->fd(), std::to_string(i), O_WRONLY | O_CREAT, 0600);
      fs::WriteAll(file.get(), AsBytes(std::string(4096, 'x')), "file");
    }
  });
  EXPECT_FALSE(store_->snapshots().Has(id));
  EXPECT_TRUE(store_->snapshots().List().empty());
}

TEST_F(DiskFullTest, TheDatabaseSaysSoAndGoesOn) {
  const auto put = [&](int i) {
    store_->cache().Put(oci::Digest::OfBytes(std::to_string(i)),
                        {std::nullopt, std::string(20'000, 'r')});
  };
  put(-1);
  Fill(64 << 10);
  ExpectFull([&] {
    for (int i = 0; i < 1000; ++i) put(i);
  });
  // Reading works, and nothing that was there is lost.
  EXPECT_TRUE(store_->cache().Find(oci::Digest::OfBytes("-1")).has_value());
  EXPECT_TRUE(store_->images().List().empty());
  Empty();
  put(5000);
  EXPECT_TRUE(store_->cache().Find(oci::Digest::OfBytes("5000")).has_value());
}

TEST_F(DiskFullTest, PruningWorksWithoutRoom) {
  for (int i = 0; i < 20; ++i) {
    store_->content().Put(std::to_string(i) + std::string(50'000, 'p'));
  }
  Fill(0);
  const Swept swept = store_->Sweep(true);
  EXPECT_EQ(swept.blobs.size(), 20u);
  EXPECT_GE(swept.bytes, 20u * 50'000);
}

}  // namespace
}  // namespace imgbuild::store
