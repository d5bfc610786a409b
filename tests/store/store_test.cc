// Opening a store: what is made, what is refused.
#include "imgbuild/store/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "imgbuild/util/error.h"

#include "store/meta_db.h"
#include "store_test_util.h"

namespace imgbuild::store {
namespace {

std::string OpenError(const std::string& root) {
  try {
    Store::Open({root, nullptr});
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    return error.message();
  }
  return "opened";
}

void Write(const std::string& path, const std::string& text) {
  fs::WriteFileAtomic(AT_FDCWD, path, text);
}

TEST(StoreOpen, MakesAPrivateDirectoryThatIsAnOciLayoutsStart) {
  const LocalFixture fixture;
  const UniqueFd root = fs::OpenDir(AT_FDCWD, fixture.root());
  EXPECT_EQ(fs::Fstat(root.get()).st_mode & 07777, 0700u);
  EXPECT_EQ(fs::ReadFile(root.get(), "oci-layout", 100),
            "{\"imageLayoutVersion\":\"1.0.0\"}\n");
  EXPECT_EQ(fs::ListDir(root.get()),
            (std::vector<std::string>{"blobs", "containers", "layers", "mounts",
                                      "notes", "oci-layout", "stat", "tmp",
                                      "unsynced"}));
}

TEST(StoreOpen, MakesTheDirectoriesAboveIt) {
  const fs::TempDir dir = FastTempDir();
  const std::string root = dir.path() + "/a/b/c";
  EXPECT_EQ(Store::Open({root, nullptr})->root(), root);
}

TEST(StoreOpen, GivesAPathWithoutLinks) {
  const fs::TempDir dir = FastTempDir();
  fs::MakeDir(dir.fd(), "real", 0700);
  ASSERT_EQ(::symlinkat("real", dir.fd(), "link"), 0);
  EXPECT_EQ(Store::Open({dir.path() + "/link", nullptr})->root(),
            dir.path() + "/real");
}

TEST(StoreOpen, ClosesADirectoryThatOthersCouldRead) {
  const fs::TempDir dir = FastTempDir();
  fs::MakeDir(dir.fd(), "root", 0755);
  ASSERT_EQ(::fchmodat(dir.fd(), "root", 0755, 0), 0);
  Store::Open({dir.path() + "/root", nullptr});
  EXPECT_EQ(fs::LstatIfExists(dir.fd(), "root")->st_mode & 07777, 0700u);
}

TEST(StoreOpen, RefusesSomebodyElsesDirectory) {
  const fs::TempDir dir = FastTempDir();
  fs::MakeDir(dir.fd(), "root", 0700);
  if (::fchownat(dir.fd(), "root", 12, 12, 0) != 0) {
    GTEST_SKIP() << "chown needs root";
  }
  EXPECT_EQ(OpenError(dir.path() + "/root"),
            "open store \"" + dir.path() +
                "/root\": it belongs to user 12, not to 0");
}

TEST(StoreOpen, RefusesADirectoryWithOtherThings) {
  const fs::TempDir dir = FastTempDir();
  Write(dir.path() + "/letter.txt", "dear");
  EXPECT_EQ(OpenError(dir.path()),
            "open store \"" + dir.path() +
                "\": not a store: it has \"letter.txt\" in it");
  EXPECT_EQ(fs::ListDir(dir.fd()), std::vector<std::string>{"letter.txt"});
}

TEST(StoreOpen, RefusesSomebodyElsesOciLayout) {
  const fs::TempDir dir = FastTempDir();
  Write(dir.path() + "/oci-layout", "{}");
  Write(dir.path() + "/index.json", "{}");
  EXPECT_EQ(OpenError(dir.path()),
            "open store \"" + dir.path() +
                "\": not a store: it has \"index.json\" in it");
}

TEST(StoreOpen, RefusesAFile) {
  const fs::TempDir dir = FastTempDir();
  Write(dir.path() + "/root", "");
  EXPECT_NE(OpenError(dir.path() + "/root"), "opened");
}

TEST(StoreOpen, GoesOnAfterAnInterruptedFirstStart) {
  const fs::TempDir dir = FastTempDir();
  fs::MakeDirs(dir.fd(), "blobs/sha256", 0700);
  fs::MakeDirs(dir.fd(), "tmp", 0700);
  Write(dir.path() + "/.oci-layout.abc", "{");
  const auto store = Store::Open({dir.path(), nullptr});
  const oci::Digest digest = store->content().Put("x");
  EXPECT_TRUE(Store::Open({dir.path(), nullptr})->content().Has(digest));
}

TEST(StoreOpen, RefusesANewerVersionAtOnce) {
  LocalFixture fixture;
  fixture.store().images().List();
  fixture.Close();
  {
    Database db(fixture.root() + "/meta.db");
    db.Exec("PRAGMA journal_mode=DELETE; PRAGMA user_version=7");
  }
  EXPECT_EQ(OpenError(fixture.root()),
            "open \"" + fixture.root() +
                "/meta.db\": the store has version 7, this program knows "
                "versions up to 2");
}

TEST(StoreOpen, BringsAnOlderVersionUpToDate) {
  LocalFixture fixture;
  fixture.store().images().List();
  fixture.Close();
  {
    Database db(fixture.root() + "/meta.db");
    db.Exec("DROP TABLE container; PRAGMA user_version=1");
  }
  fixture.Reopen();
  EXPECT_TRUE(fixture.store().containers().List().empty());
  // The version is in the header: a second start needs no log to see it.
  fixture.Close();
  fixture.Reopen();
  EXPECT_TRUE(fixture.store().images().List().empty());
}

TEST(StoreOpen, RefusesANewerVersionThatIsStillInTheLog) {
  LocalFixture fixture;
  fixture.store().images().List();
  fixture.Close();
  Database db(fixture.root() + "/meta.db");
  db.Exec("PRAGMA journal_mode=WAL; PRAGMA user_version=7");
  // The header on disk still says 1.
  fixture.Reopen();
  EXPECT_THROW(fixture.store().images().List(), Error);
}

TEST(StoreOpen, NamesADamagedDatabase) {
  LocalFixture fixture;
  fixture.Close();
  Write(fixture.root() + "/meta.db", std::string(8192, 'x'));
  try {
    fixture.Reopen();
    fixture.store().images().List();
    FAIL() << "read it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_NE(error.message().find(fixture.root() + "/meta.db"),
              std::string::npos)
        << error.message();
  }
}

TEST(StoreOpen, LooksAtTheDatabaseOnlyWhenItIsNeeded) {
  LocalFixture fixture;
  fixture.store().content().Put("x");
  fixture.store().snapshots().List();
  EXPECT_FALSE(
      fs::LstatIfExists(AT_FDCWD, fixture.root() + "/meta.db").has_value());
}

class DefaultRootTest : public testing::Test {
 protected:
  void TearDown() override {
    ::unsetenv("IMGBUILD_ROOT");
    ::unsetenv("XDG_DATA_HOME");
  }
};

TEST_F(DefaultRootTest, TheEnvironmentDecides) {
  ::setenv("IMGBUILD_ROOT", "/some/where", 1);
  EXPECT_EQ(Store::DefaultRoot(), "/some/where");
  ::setenv("IMGBUILD_ROOT", "", 1);
  ::setenv("XDG_DATA_HOME", "/data", 1);
  EXPECT_EQ(Store::DefaultRoot(),
            ::geteuid() == 0 ? "/var/lib/imgbuild" : "/data/imgbuild");
}

TEST(StoreMisc, TemporaryDirectoriesGoWithTheirOwner) {
  LocalFixture fixture;
  std::string path;
  {
    const fs::TempDir dir = fixture.store().NewTemp("x-");
    path = dir.path();
    EXPECT_TRUE(path.starts_with(fixture.root() + "/tmp/"));
    EXPECT_TRUE(fs::LstatIfExists(AT_FDCWD, path).has_value());
  }
  EXPECT_FALSE(fs::LstatIfExists(AT_FDCWD, path).has_value());
  fixture.Close();
  EXPECT_TRUE(fs::ListDir(fs::OpenDir(AT_FDCWD, fixture.root() + "/tmp").get())
                  .empty());
}

TEST(StoreMisc, CacheMountsHaveOneDirectoryAnIdAndNoIdIsAPath) {
  LocalFixture fixture;
  Store& store = fixture.store();
  const std::string a = store.CacheMountDir("a");
  EXPECT_EQ(a, store.CacheMountDir("a"));
  EXPECT_NE(a, store.CacheMountDir("b"));
  for (const char* id : {"../../etc", "/etc", "a/b", "", "."}) {
    const std::string dir = store.CacheMountDir(id);
    EXPECT_EQ(dir.substr(0, dir.rfind('/')), fixture.root() + "/mounts");
    EXPECT_TRUE(S_ISDIR(fs::LstatIfExists(AT_FDCWD, dir)->st_mode));
  }
}

TEST(StoreMisc, RemembersWhereABlobWasSeen) {
  LocalFixture fixture;
  const oci::Digest blob = oci::Digest::OfBytes("x");
  EXPECT_TRUE(fixture.store().Origins(blob).empty());
  fixture.store().AddOrigin(blob, oci::Repository::Parse("debian"));
  fixture.store().AddOrigin(blob, oci::Repository::Parse("alpine"));
  fixture.store().AddOrigin(blob, oci::Repository::Parse("alpine"));
  fixture.Reopen();
  const auto origins = fixture.store().Origins(blob);
  ASSERT_EQ(origins.size(), 2u);
  EXPECT_EQ(origins[0].repository.Familiar(), "alpine");
  EXPECT_EQ(origins[1].repository.Familiar(), "debian");
}

TEST(StoreMisc, TheStatCacheSurvivesAndChecksItself) {
  LocalFixture fixture;
  EXPECT_EQ(fixture.store().stat_cache().Load("/src"), std::nullopt);
  const std::string bytes("\0some\xFF bytes", 12);
  SaveStats(fixture.store(), "/src", bytes);
  SaveStats(fixture.store(), "/other", "");
  fixture.Reopen();
  EXPECT_EQ(fixture.store().stat_cache().Load("/src"), bytes);
  EXPECT_EQ(fixture.store().stat_cache().Load("/other"), "");
  // One flipped bit.
  const std::string path =
      fixture.root() + "/stat/" + oci::Digest::OfBytes("/src").hex();
  std::string raw = fs::ReadFile(AT_FDCWD, path, 1000);
  raw.back() ^= 1;
  Write(path, raw);
  EXPECT_EQ(fixture.store().stat_cache().Load("/src"), std::nullopt);
  Write(path, "short");
  EXPECT_EQ(fixture.store().stat_cache().Load("/src"), std::nullopt);
}

TEST(StoreMisc, ADamagedBlobIsNamed) {
  LocalFixture fixture;
  const oci::Digest digest = fixture.store().content().Put("hello");
  Write(fixture.root() + "/blobs/sha256/" + digest.hex(), "hullo");
  try {
    fixture.store().content().Read(digest, 100);
    FAIL() << "read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    EXPECT_EQ(error.message(),
              "blob " + digest.ToString() + ": the stored content is damaged");
  }
}

TEST(StoreMisc, ADamagedLayerDescriptionIsNamed) {
  LocalFixture fixture;
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  fixture.store().snapshots().Begin()->Commit(id, {});
  Write(fixture.root() + "/layers/" + id.hex() + "/meta", "{");
  try {
    fixture.store().snapshots().View({id});
    FAIL() << "read";
  } catch (const Error& error) {
    EXPECT_TRUE(error.message().starts_with("layer " + id.ToString() +
                                            ": its description is damaged: "))
        << error.message();
  }
}

TEST(StoreMisc, LayersOfAUserNamespaceAreNotTakenForOurs) {
  LocalFixture fixture;
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  fixture.store().snapshots().Begin()->Commit(id, {});
  const std::string meta = fixture.root() + "/layers/" + id.hex() + "/meta";
  std::string text = fs::ReadFile(AT_FDCWD, meta, 10000);
  const std::string ours = fixture.store().snapshots().opaque_xattr();
  const size_t at = text.find(ours);
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, ours.size(),
               ours.starts_with("user.") ? "trusted.overlay.opaque"
                                         : "user.overlay.opaque");
  Write(meta, text);
  EXPECT_FALSE(fixture.store().snapshots().Has(id));
  // Unpacking it again replaces it.
  const auto pending = fixture.store().snapshots().Begin();
  fs::MakeDir(pending->fd(), "new", 0755);
  pending->Commit(id, {});
  EXPECT_EQ(fixture.store().snapshots().View({id})->List(""),
            std::vector<std::string>{"new"});
}

TEST(StoreMisc, FileNamesThatAreNotUtf8SurviveInTheDescription) {
  LocalFixture fixture;
  const oci::DiffId id(oci::Digest::OfBytes("x"));
  const std::string name = "a\xFF%\n\"b";
  layer::ExtractResult result;
  result.implied_directories = {name};
  const auto pending = fixture.store().snapshots().Begin();
  fs::MakeDir(pending->fd(), name, 0700);
  pending->Commit(id, result);
  const auto view = fixture.store().snapshots().View({id});
  EXPECT_EQ(view->List(""), std::vector<std::string>{name});
  // Implied: not the 0700 that is on disk.
  EXPECT_EQ(view->Lstat(name)->mode, 0755u);
}

TEST(StoreMisc, ThreadsShareAStore) {
  LocalFixture fixture;
  Store& store = fixture.store();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&store, t] {
      for (int i = 0; i < 20; ++i) {
        const oci::Digest key = oci::Digest::OfBytes(std::to_string(i));
        store.cache().Put(key, {std::nullopt, "r"});
        store.cache().Find(key);
        SaveStats(store, "k" + std::to_string(i % 3), "bytes");
        const oci::DiffId id(oci::Digest::OfBytes("l" + std::to_string(i)));
        store.snapshots().Begin()->Commit(id, {});
        store.snapshots().View({id});
        if (t == 0) store.images().List();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(store.snapshots().List().size(), 20u);
}

class ViewOnTest : public testing::Test {
 protected:
  Snapshotter& snapshots() { return fixture_.store().snapshots(); }
  static oci::DiffId Id(const std::string& text) {
    return oci::DiffId(oci::Digest::OfBytes(text));
  }
  // A layer that has one file in the directory d.
  oci::DiffId Add(const std::string& name,
                  const layer::ExtractResult& result = {}) {
    return Commit(name, snapshots().Begin(), result);
  }
  static oci::DiffId Commit(const std::string& name,
                            std::unique_ptr<PendingLayer> pending,
                            const layer::ExtractResult& result = {}) {
    fs::MakeDir(pending->fd(), "d", 0755);
    fs::WriteFileAtomic(pending->fd(), "d/" + name, name);
    pending->Commit(Id(name), result);
    return Id(name);
  }
  LocalFixture fixture_;
};

TEST_F(ViewOnTest, WhatWasListedIsNotReadAgain) {
  const auto low = Add("low");
  const auto high = Add("high");
  const auto below = snapshots().View({low});
  EXPECT_EQ(below->List("d"), std::vector<std::string>{"low"});
  const UniqueFd layers = fs::OpenDir(AT_FDCWD, fixture_.root() + "/layers");
  fs::RemoveTree(layers.get(), low.hex() + "/fs/d");
  EXPECT_EQ(snapshots().ViewOn(*below, high)->List("d"),
            (std::vector<std::string>{"high", "low"}));
}

TEST_F(ViewOnTest, KeepsTheLayersAfterTheViewBelowHasGone) {
  const auto low = Add("low");
  const auto high = Add("high");
  const auto view = snapshots().ViewOn(*snapshots().View({low}), high);
  EXPECT_FALSE(snapshots().Remove(low));
  EXPECT_FALSE(snapshots().Remove(high));
  EXPECT_EQ(fs::ReadFd(view->Open("d/low").get(), 10, ""), "low");
}

TEST_F(ViewOnTest, GivesUpWhereTheWholeChainDecides) {
  const auto low = Add("low");
  const auto delta = Commit("delta", snapshots().BeginOn(low));
  layer::ExtractResult opaque;
  opaque.opaque_root = true;
  const auto closed = Add("closed", opaque);
  const auto view = snapshots().View({low});
  EXPECT_EQ(snapshots().ViewOn(*view, low), nullptr);
  EXPECT_EQ(snapshots().ViewOn(*view, delta), nullptr);
  EXPECT_EQ(snapshots().ViewOn(*view, closed), nullptr);
  EXPECT_EQ(snapshots().ViewOn(*view, Id("absent")), nullptr);
  // A delta on another one brings that one along.
  const auto other = snapshots().View({Add("other")});
  EXPECT_EQ(other->List("d"), std::vector<std::string>{"other"});
  EXPECT_EQ(snapshots().ViewOn(*other, delta)->List("d"),
            (std::vector<std::string>{"delta", "low", "other"}));
}

}  // namespace
}  // namespace imgbuild::store
