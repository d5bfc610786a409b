// Digests of a context's files, and what is remembered of them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "imgbuild/util/error.h"

#include "context/context_fixture.h"
#include "context/stat_cache.h"

namespace imgbuild::context {
namespace {

std::string Hex(const std::string& text) {
  return oci::Digest::OfBytes(text).hex();
}

// As in the stored records.
std::string Raw(const std::string& text) {
  const std::string hex = Hex(text);
  std::string raw;
  for (size_t i = 0; i < hex.size(); i += 2) {
    raw += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  }
  return raw;
}

class DigestTest : public ContextFixture {
 protected:
  // Until the times of what was just written prove something.
  static void LetTimePass() {
    std::this_thread::sleep_for(std::chrono::milliseconds(150));
  }
  // The record of `text` from now on claims the digest of `lie`: who reports
  // the lie has not opened the file.
  void Forge(const std::string& text, const std::string& lie) {
    ASSERT_EQ(cache_.entries.size(), 1u);
    std::string& bytes = cache_.entries.begin()->second;
    const size_t at = bytes.find(Raw(text));
    ASSERT_NE(at, std::string::npos) << text << " is not remembered";
    bytes.replace(at, 32, Raw(lie));
  }
  bool Remembered(const std::string& text) {
    return !cache_.entries.empty() &&
           cache_.entries.begin()->second.find(Raw(text)) != std::string::npos;
  }

  MemoryStatCache cache_;
};

TEST_F(DigestTest, OfContentsInTheOrderAskedFor) {
  Dir("d");
  File("a", "first");
  File("d/b", "second");
  File("empty", "");
  File("big", std::string(1'000'003, 'b'));
  const auto source = Open();
  const auto digests = Digests(*source);
  EXPECT_EQ(digests.at("a"), Hex("first"));
  EXPECT_EQ(digests.at("d/b"), Hex("second"));
  EXPECT_EQ(digests.at("empty"), Hex(""));
  EXPECT_EQ(digests.at("big"), Hex(std::string(1'000'003, 'b')));
  const auto items = source->Walk("", nullptr);
  const std::vector<ContextSource::FileDigest> two =
      source->DigestFiles({&items.at(4), &items.at(1), &items.at(4)});
  EXPECT_EQ(two.at(0).digest.hex(), Hex("second"));
  EXPECT_EQ(two.at(1).digest.hex(), Hex("first"));
  EXPECT_EQ(two.at(2).digest.hex(), Hex("second"));
  EXPECT_TRUE(source->DigestFiles({}).empty());
}

TEST_F(DigestTest, ManyFilesOnManyThreads) {
  for (int i = 0; i < 300; ++i) {
    File("f" + std::to_string(i), std::string(static_cast<size_t>(i), 'x'));
  }
  const auto digests = Digests(*Open());
  ASSERT_EQ(digests.size(), 300u);
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(digests.at("f" + std::to_string(i)),
              Hex(std::string(static_cast<size_t>(i), 'x')));
  }
}

TEST_F(DigestTest, AnUnchangedFileIsNotOpenedAgain) {
  File("a", "one");
  File("b", "two");
  LetTimePass();
  EXPECT_EQ(Digests(*Open("", &cache_)).at("a"), Hex("one"));
  EXPECT_EQ(cache_.loads, 1);
  EXPECT_EQ(cache_.saves, 1);
  Forge("one", "lie");
  const auto digests = Digests(*Open("", &cache_));
  EXPECT_EQ(digests.at("a"), Hex("lie"));
  EXPECT_EQ(digests.at("b"), Hex("two"));
  // Nothing new, so nothing was written.
  EXPECT_EQ(cache_.saves, 1);
}

TEST_F(DigestTest, WhetherThereAreAttributesIsRememberedToo) {
  File("plain", "one");
  File("marked", "two");
  if (!fs::SetXattr(fd(), "marked", "user.note", "x")) {
    GTEST_SKIP() << "this file system has no extended attributes";
  }
  LetTimePass();
  const auto marks = [&] {
    const auto source = Open("", &cache_);
    const auto items = source->Walk("", nullptr);  // "", marked, plain
    const auto digests = source->DigestFiles({&items.at(1), &items.at(2)});
    return std::pair(digests.at(0).has_xattrs, digests.at(1).has_xattrs);
  };
  EXPECT_EQ(marks(), std::pair(true, false));
  EXPECT_EQ(marks(), std::pair(true, false));  // from the cache
  EXPECT_EQ(cache_.saves, 1);
  fs::SetXattr(fd(), "plain", "user.note", "y");
  EXPECT_EQ(marks(), std::pair(true, true));
}

TEST_F(DigestTest, WhatThisBuildReadIsNotReadTwice) {
  File("a", "one");
  LetTimePass();
  const auto source = Open("", &cache_);
  EXPECT_EQ(Digests(*source).at("a"), Hex("one"));
  source->Flush();
  EXPECT_EQ(cache_.saves, 1);
  source->Flush();
  EXPECT_EQ(cache_.saves, 1);
  EXPECT_EQ(cache_.loads, 1);
}

// Enough for the hash table to grow and for several pieces of the file, in an
// order that is not that of the inodes.
TEST(StatCacheTest, StoredAndFreshRecordsAreMerged) {
  MemoryStatCache storage;
  constexpr uint64_t kFiles = 5000;
  const auto info = [](uint64_t i, uint64_t version) {
    FileInfo file;
    file.device = 1 + i % 3;
    file.inode = i * 7919 % 10'007;
    file.size = version;
    file.mtime_s = file.ctime_s = 1000;
    file.mtime_ns = file.ctime_ns = 5;
    return file;
  };
  const auto digest = [](uint64_t i, uint64_t version) {
    return ContextSource::FileDigest{
        oci::Digest::OfBytes(std::to_string(i) + "." + std::to_string(version)),
        i % 5 == 0};
  };
  // What the cache should hold: by file, its version; 0: none.
  std::vector<uint64_t> expected(kFiles, 0);
  for (uint64_t round = 1; round <= 4; ++round) {
    StatCache cache(&storage, "key");
    for (uint64_t i = 0; i < kFiles; ++i) {
      if (i % (round + 1) == 0) {
        cache.Add(info(i, round), digest(i, round), 2000 * 1'000'000'000LL);
        expected[i] = round;
      }
      const auto found = cache.Find(info(i, expected[i]));
      ASSERT_EQ(found.has_value(), expected[i] != 0) << round << " " << i;
      if (!found) continue;
      EXPECT_EQ(found->digest, digest(i, expected[i]).digest);
      EXPECT_EQ(found->has_xattrs, i % 5 == 0);
      EXPECT_FALSE(cache.Find(info(i, expected[i] + 1)));
    }
    cache.Flush();
  }
  StatCache cache(&storage, "key");
  for (uint64_t i = 0; i < kFiles; ++i) {
    EXPECT_EQ(cache.Find(info(i, expected[i])).has_value(), expected[i] != 0);
  }
}

TEST_F(DigestTest, ChangedContentIsSeenThoughSizeAndMtimeAreTheSame) {
  File("a", "one");
  LetTimePass();
  Digests(*Open("", &cache_));
  ASSERT_TRUE(Remembered("one"));
  struct ::stat st = {};
  ASSERT_EQ(::fstatat(fd(), "a", &st, 0), 0);
  File("a", "two");
  const struct timespec times[2] = {st.st_atim, st.st_mtim};
  ASSERT_EQ(::utimensat(fd(), "a", times, 0), 0);
  EXPECT_EQ(Digests(*Open("", &cache_)).at("a"), Hex("two"));
}

TEST_F(DigestTest, AReplacedFileIsAnotherFile) {
  File("a", "one");
  LetTimePass();
  Digests(*Open("", &cache_));
  File("new", "two");
  ASSERT_EQ(::renameat(fd(), "new", fd(), "a"), 0);
  EXPECT_EQ(Digests(*Open("", &cache_)).at("a"), Hex("two"));
}

TEST_F(DigestTest, AFileJustWrittenIsNotRemembered) {
  File("old", "old");
  LetTimePass();
  File("young", "young");
  Digests(*Open("", &cache_));
  EXPECT_TRUE(Remembered("old"));
  EXPECT_FALSE(Remembered("young"));
  LetTimePass();
  Digests(*Open("", &cache_));
  EXPECT_TRUE(Remembered("old"));
  EXPECT_TRUE(Remembered("young"));
}

TEST_F(DigestTest, RacyTimes) {
  constexpr int64_t kSecond = 1'000'000'000;
  FileInfo info;
  info.mtime_s = info.ctime_s = 1000;
  info.mtime_ns = info.ctime_ns = 5;
  EXPECT_FALSE(StatCache::IsRacy(info, 1001 * kSecond));
  EXPECT_TRUE(StatCache::IsRacy(info, 1000 * kSecond + 5));
  EXPECT_TRUE(StatCache::IsRacy(info, 1000 * kSecond + 50'000'000));
  // A file system that counts in whole seconds.
  info.mtime_ns = info.ctime_ns = 0;
  EXPECT_TRUE(StatCache::IsRacy(info, 1001 * kSecond));
  EXPECT_FALSE(StatCache::IsRacy(info, 1003 * kSecond));
  // The clock was set back, or the file comes from the future.
  info.ctime_s = 2000;
  EXPECT_TRUE(StatCache::IsRacy(info, 1003 * kSecond));
  info.ctime_s = INT64_MAX;
  EXPECT_TRUE(StatCache::IsRacy(info, 1003 * kSecond));
}

TEST_F(DigestTest, FilesOfOtherBuildsStayRemembered) {
  Dir("x");
  Dir("y");
  File("x/a", "one");
  File("y/b", "two");
  LetTimePass();
  Digests(*Open("y\n", &cache_));
  Digests(*Open("x\n", &cache_));
  EXPECT_TRUE(Remembered("one"));
  EXPECT_TRUE(Remembered("two"));
  EXPECT_EQ(cache_.saves, 2);
}

TEST_F(DigestTest, FilesThatAreGoneAreForgottenInTime) {
  File("gone", "gone");
  LetTimePass();
  Digests(*Open("", &cache_));
  // Made before, so that none of them gets the inode.
  for (int i = 0; i < 20; ++i) {
    File("new" + std::to_string(i), "new" + std::to_string(i));
  }
  ASSERT_EQ(::unlinkat(fd(), "gone", 0), 0);
  LetTimePass();
  for (int i = 0; i < 20; ++i) {
    // One new file each time: something to save.
    Digests(*Open("*\n!new" + std::to_string(i) + "\n", &cache_));
    if (i == 10) {
      EXPECT_TRUE(Remembered("gone"));
    }
  }
  EXPECT_FALSE(Remembered("gone"));
}

TEST_F(DigestTest, GarbageInTheStorageOnlyCostsAReading) {
  File("a", "one");
  LetTimePass();
  Digests(*Open("", &cache_));
  const std::string good = cache_.entries.begin()->second;
  for (const std::string& bad :
       {std::string(), std::string("x"), good.substr(0, good.size() - 1),
        std::string(good.size(), '\xFF'), good.substr(8)}) {
    cache_.entries.begin()->second = bad;
    EXPECT_EQ(Digests(*Open("", &cache_)).at("a"), Hex("one"));
    EXPECT_EQ(cache_.entries.begin()->second, good);
  }
}

TEST_F(DigestTest, AFileThatIsNotWhatTheWalkSawIsAnError) {
  File("grown", "one");
  File("shrunk", "one");
  File("gone", "one");
  File("pipe", "one");
  File("link", "one");
  const auto source = Open();
  const auto items = source->Walk("", nullptr);
  File("grown", "longer");
  File("shrunk", "o");
  ASSERT_EQ(::unlinkat(fd(), "gone", 0), 0);
  ASSERT_EQ(::unlinkat(fd(), "pipe", 0), 0);
  ASSERT_EQ(::mkfifoat(fd(), "pipe", 0644), 0);
  ASSERT_EQ(::unlinkat(fd(), "link", 0), 0);
  Link("/etc/passwd", "link");
  const std::map<std::string, std::string> kMessages = {
      {"grown", "read \"grown\": the file changed while it was read"},
      {"shrunk", "read \"shrunk\": the file changed while it was read"},
      {"gone", "open \"gone\": no such file or directory"},
      {"pipe", "read \"pipe\": the file changed while it was read"},
      {"link", "open \"link\": too many levels of symbolic links"},
  };
  for (const auto& item : items) {
    if (item.path.empty()) continue;
    try {
      source->DigestFiles({&item});
      ADD_FAILURE() << item.path;
    } catch (const Error& e) {
      EXPECT_EQ(e.message(), kMessages.at(item.path));
      EXPECT_EQ(e.code(), ErrorCode::kHost);
    }
  }
}

TEST_F(DigestTest, ADirectoryThatBecameALinkIsNotFollowed) {
  Dir("d");
  File("d/passwd", std::string(10, 'x'));
  const auto source = Open();
  const auto items = source->Walk("d/passwd", nullptr);
  ASSERT_EQ(::renameat(fd(), "d", fd(), "away"), 0);
  Link("away", "d");
  EXPECT_THROW(source->DigestFiles({&items.at(0)}), Error);
  EXPECT_THROW(source->Open("d/passwd"), Error);
}

TEST_F(DigestTest, TheContextIsNotWrittenTo) {
  Dir("d");
  File("d/a", "one");
  Link("a", "d/l");
  const auto snapshot = [&] {
    std::string text;
    for (const char* path : {".", "d", "d/a", "d/l"}) {
      struct ::stat st = {};
      EXPECT_EQ(::fstatat(fd(), path, &st, AT_SYMLINK_NOFOLLOW), 0);
      text += std::to_string(st.st_ctim.tv_sec) + "." +
              std::to_string(st.st_ctim.tv_nsec) + " " +
              std::to_string(st.st_mtim.tv_nsec) + "\n";
    }
    return text;
  };
  const std::string before = snapshot();
  {
    const auto source = Open("*.o\n", &cache_);
    Digests(*source);
    source->Xattrs("d/a");
    source->Open("d/a");
    source->List("d");
  }
  EXPECT_EQ(snapshot(), before);
}

}  // namespace
}  // namespace imgbuild::context
