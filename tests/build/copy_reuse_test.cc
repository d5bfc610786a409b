// COPY layers that are made from the ones before: the same image and the same
// files as on the slow path, whatever changed.
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "build/build_fixture.h"
#include "support/layer_tree.h"

namespace imgbuild::build {
namespace {

constexpr char kDockerfile[] =
    "FROM scratch\n"
    "COPY lower /src\n"
    "COPY upper /src\n"
    "RUN write /made by a step\n";

std::unique_ptr<store::Store> OpenStore(const fs::TempDir& dir) {
  return store::Store::Open({dir.path() + "/store", nullptr});
}

// A build of its own, with nothing to reuse and no short cut.
class SlowBuild : public BuildFixture {
 public:
  SlowBuild(const fs::TempDir& dir, int context_fd)
      : BuildFixture(OpenStore(dir)) {
    slow_path_ = true;
    context_fd_ = context_fd;
  }
  void TestBody() override {}
  using BuildFixture::Build;
  using BuildFixture::FailureOf;
  using BuildFixture::Files;
  void SetScript(const exec::FakeExecutor::Script& script) { script_ = script; }
};

// A base, so that it outlives the store in it.
struct StoreDirectory {
  fs::TempDir dir = fs::TempDir::InTmp();
};

class CopyReuseTest : private StoreDirectory, public BuildFixture {
 protected:
  CopyReuseTest() : BuildFixture(OpenStore(StoreDirectory::dir)) {
    script_ = [](const exec::FakeProcess& process) {
      process.WriteFile("/made", "by a step");
      return exec::ExitResult{};
    };
  }

  std::string Text(size_t size) {
    std::string text;
    while (text.size() < size) text += std::to_string(random_()) + " ";
    text.resize(size);
    return text;
  }
  unsigned Number(unsigned below) { return random_() % below; }

  void Remove(const std::string& path) { fs::RemoveTree(context_.fd(), path); }
  bool IsDirectory(const std::string& path) {
    const auto st = fs::LstatIfExists(context_.fd(), path);
    return st && S_ISDIR(st->st_mode);
  }

  // Of 3 x 20 places in either directory, so that the two overlap.
  std::string Place(const std::string& top) {
    return top + "/d" + std::to_string(Number(3)) + "/f" +
           std::to_string(Number(20));
  }
  void PutFile(const std::string& path) {
    Remove(path);
    WriteFile(path, Text(Number(60'000)));
  }
  void MakeTrees() {
    for (const char* top : {"lower", "upper"}) {
      for (int i = 0; i < 50; ++i) PutFile(Place(top));
    }
    WriteFile("upper/big", Text(2'500'000));
  }

  void Mutate() {
    const std::string path = Place("upper");
    switch (Number(10)) {
      case 0:
      case 1:
      case 2:
        PutFile(path);
        break;
      case 3:
        Remove(path);
        break;
      case 4:
        if (!IsDirectory(path)) PutFile(path);
        ::fchmodat(context_.fd(), path.c_str(), Number(2) ? 0755 : 0600, 0);
        break;
      case 5:
        Remove(path);
        WriteFile(path + "/inside", Text(3000));
        break;
      case 6:
        Remove(path);
        ::symlinkat(Number(2) ? "f1" : "../d0", context_.fd(), path.c_str());
        break;
      case 7: {
        Remove(path);
        const std::string other = Place("upper");
        if (!IsDirectory(other)) {
          ::linkat(context_.fd(), other.c_str(), context_.fd(), path.c_str(),
                   0);
        }
        break;
      }
      case 8: {
        std::string big = fs::ReadFile(context_.fd(), "upper/big", 1u << 30);
        big[Number(2'400'000)] ^= 1;
        WriteFile("upper/big", big);
        break;
      }
      case 9:
        PutFile(Place("lower"));
        break;
    }
  }

  // Where the trees do not fit on one another both ways say so.
  bool Fits(unsigned jobs) {
    try {
      Build(kDockerfile, {}, jobs);
      return true;
    } catch (const Error& error) {
      SlowBuild other(StoreDirectory::dir, context_.fd());
      EXPECT_EQ(other.FailureOf(kDockerfile), error.Render());
      return false;
    }
  }

  // Builds both ways and compares. Returns what was built the fast way.
  BuildResult BuildBoth(unsigned jobs) {
    BuildResult fast = Build(kDockerfile, {}, jobs);
    const fs::TempDir slow_dir = fs::TempDir::InTmp();
    SlowBuild other(slow_dir, context_.fd());
    other.SetScript(script_);
    const BuildResult slow = other.Build(kDockerfile, {}, 1);
    EXPECT_EQ(fast.manifest.digest, slow.manifest.digest);
    EXPECT_EQ(store::Describe(*Files(fast)),
              store::Describe(*other.Files(slow)));
    return fast;
  }

  std::string BlobPath(const oci::Digest& digest) {
    return StoreDirectory::dir.path() + "/store/blobs/sha256/" + digest.hex();
  }

  bool MadeOnAnother(const BuildResult& result, size_t layer) {
    return store_->snapshots()
        .DeltaOf(result.layers[layer].diff_id)
        .has_value();
  }

  std::mt19937 random_{20};
};

TEST_F(CopyReuseTest, AnyChangeGivesTheImageOfTheSlowPath) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  int on_another = 0;
  for (int tree = 0; tree < 2; ++tree) {
    Remove("lower");
    Remove("upper");
    MakeTrees();
    if (Fits(4)) BuildBoth(4);
    for (int round = 0; round < 12; ++round) {
      for (unsigned i = Number(3) + 1; i > 0; --i) Mutate();
      // Only of files that are older than this a digest is remembered, and
      // only with one a file need not be read.
      if (round % 2 == 0) {
        std::this_thread::sleep_for(std::chrono::milliseconds(150));
      }
      if (!Fits(round % 2 ? 1 : 4)) {
        Remove("upper");
        MakeTrees();
      }
      const BuildResult result = BuildBoth(4);
      if (HasFatalFailure() || HasNonfatalFailure()) {
        FAIL() << "tree " << tree << ", round " << round;
      }
      on_another += MadeOnAnother(result, 1) ? 1 : 0;
    }
  }
  // Both ways of making the files were taken.
  EXPECT_GT(on_another, 3);
  EXPECT_LT(on_another, 24);
}

TEST_F(CopyReuseTest, AChangedFileIsADirectoryOfThatFileAlone) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  WriteFile("upper/d0/this", "1");
  const BuildResult first = BuildBoth(4);
  EXPECT_FALSE(MadeOnAnother(first, 1));
  WriteFile("upper/d0/this", "2");
  const BuildResult second = BuildBoth(4);
  auto delta = store_->snapshots().DeltaOf(second.layers[1].diff_id);
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->base, first.layers[1].diff_id);
  EXPECT_EQ(delta->paths,
            (std::vector<std::string>{"src/d0/this", "src/d0", "src"}));
  // The next one stands on the first too, with both changes.
  WriteFile("upper/d1/that", "new");
  const BuildResult third = BuildBoth(4);
  delta = store_->snapshots().DeltaOf(third.layers[1].diff_id);
  ASSERT_TRUE(delta);
  EXPECT_EQ(delta->base, first.layers[1].diff_id);
  EXPECT_EQ(delta->paths,
            (std::vector<std::string>{"src/d0/this", "src/d0", "src/d1/that",
                                      "src/d1", "src"}));
}

TEST_F(CopyReuseTest, ARemovedFileUncoversWhatIsBelow) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  WriteFile("lower/d0/both", "below");
  WriteFile("upper/d0/both", "above");
  BuildBoth(4);
  Remove("upper/d0/both");
  const BuildResult result = BuildBoth(4);
  EXPECT_FALSE(MadeOnAnother(result, 1));
  EXPECT_EQ(ReadFromTree(*Files(result), "src/d0/both", 10), "below");
}

TEST_F(CopyReuseTest, WithoutItsBaseALayerIsUnpackedAgain) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  WriteFile("upper/d0/this", "1");
  const BuildResult first = Build(kDockerfile);
  WriteFile("upper/d0/this", "2");
  const BuildResult second = Build(kDockerfile);
  const oci::DiffId& layer = second.layers[1].diff_id;
  ASSERT_TRUE(MadeOnAnother(second, 1));
  const auto before = store::Describe(*Files(second));
  {
    // As long as somebody looks, the base stays.
    const auto view = Files(second);
    EXPECT_FALSE(store_->snapshots().Remove(first.layers[1].diff_id));
  }
  ASSERT_TRUE(store_->snapshots().Remove(first.layers[1].diff_id));
  EXPECT_FALSE(store_->snapshots().Has(layer));
  EXPECT_EQ(store::Describe(*Files(second)), before);
  EXPECT_TRUE(store_->snapshots().Has(layer));
  EXPECT_FALSE(MadeOnAnother(second, 1));
}

TEST_F(CopyReuseTest, ASweepKeepsWhatAKeptLayerStandsOn) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  WriteFile("upper/d0/this", "1");
  const BuildResult first = Build(kDockerfile);
  WriteFile("upper/d0/this", "2");
  const BuildResult second = Build(kDockerfile);
  ASSERT_TRUE(MadeOnAnother(second, 1));
  store_->images().RemoveImage(first.manifest.digest);
  store_->Sweep(true);
  EXPECT_TRUE(store_->snapshots().Has(second.layers[1].diff_id));
  store_->images().RemoveImage(second.manifest.digest);
  store_->Sweep(true);
  EXPECT_TRUE(store_->snapshots().List().empty());
}

// The same layer twice, alone and as what another one stands on.
TEST_F(CopyReuseTest, ALayerAndItsBaseInOneImage) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  WriteFile("upper/d0/this", "1");
  Build(kDockerfile);
  WriteFile("upper/d0/this", "2");
  const BuildResult second = Build(kDockerfile);
  ASSERT_TRUE(MadeOnAnother(second, 1));
  const oci::DiffId delta = second.layers[1].diff_id;
  const oci::DiffId base = store_->snapshots().DeltaOf(delta)->base;
  for (const auto& chain : {std::vector{base, delta}, {delta, base}}) {
    const auto active = store_->snapshots().Prepare(chain);
    EXPECT_EQ(active->mount().lower.size(), 2u);
    EXPECT_EQ(ReadFromTree(*active->lower(), "src/d0/this", 10),
              chain.back() == delta ? "2" : "1");
  }
}

TEST_F(CopyReuseTest, ADamagedEarlierBlobCostsOnlyTime) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  const BuildResult first = BuildBoth(4);
  const std::string path = BlobPath(first.layers[1].blob.digest);
  std::string bytes = fs::ReadFile(AT_FDCWD, path, 1u << 30);
  for (size_t i = 100; i < bytes.size(); i += 10'000) bytes[i] ^= 1;
  fs::WriteFileAtomic(AT_FDCWD, path, bytes, 0600);
  WriteFile("upper/d0/this", "new");
  std::this_thread::sleep_for(std::chrono::milliseconds(150));
  BuildBoth(4);
}

TEST_F(CopyReuseTest, ADamagedNoteCostsOnlyTime) {
  if (!store::CanWriteLayers()) GTEST_SKIP() << "needs root";
  MakeTrees();
  const BuildResult first = BuildBoth(4);
  store_->content().SetNote(first.layers[1].blob.digest, "nonsense");
  Mutate();
  BuildBoth(4);
}

}  // namespace
}  // namespace imgbuild::build
