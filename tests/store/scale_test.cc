// A store of 10,000 images with 60,000 layers: each command reads what it
// needs and no more. The limits are ten times what a slow machine takes, so
// that only a wrong order of growth fails; the times are printed.
#include <gtest/gtest.h>

#include <ctime>

#include "imgbuild/util/file_tree.h"

#include "store_test_util.h"
#include "support/layer_tree.h"

namespace imgbuild::store {
namespace {

// Of this process's CPU: other tests run beside this one.
double Now() {
  struct ::timespec now = {};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 +
         static_cast<double>(now.tv_nsec) / 1e6;
}
double Milliseconds(double start) { return Now() - start; }

oci::Digest D(const std::string& text) { return oci::Digest::OfBytes(text); }

ImageRecord Image(int i) {
  constexpr int kLayers = 6;
  const std::string seed = std::to_string(i);
  ImageRecord image{D("m" + seed),
                    oci::ImageId(D("c" + seed)),
                    oci::Platform{"linux", "amd64", "", "", {}},
                    i,
                    1000 + i,
                    12345,
                    {},
                    {}};
  for (int l = 0; l < kLayers; ++l) {
    const std::string layer = seed + "/" + std::to_string(l);
    image.diff_ids.emplace_back(D("d" + layer));
    image.layers.push_back({std::string(oci::media_type::kOciLayerGzip),
                            D("l" + layer),
                            100,
                            std::nullopt,
                            {},
                            {},
                            ""});
  }
  return image;
}

TEST(Scale, TenThousandImages) {
  constexpr int kImages = 10'000;
  LocalFixture fixture;
  for (int i = 0; i < kImages; ++i) {
    const ImageRecord image = Image(i);
    fixture.store().images().PutImage(image);
    fixture.store().images().SetName(
        {oci::Repository::Parse("registry.example/team/app" +
                                std::to_string(i / 10)),
         "v" + std::to_string(i % 10), image.manifest, image.manifest,
         std::nullopt, false});
  }
  fixture.Reopen();

  auto start = Now();
  EXPECT_EQ(fixture.store().images().List(ListDetail::kWithoutLayers).size(),
            static_cast<size_t>(kImages));
  const double brief = Milliseconds(start);
  start = Now();
  EXPECT_EQ(fixture.store().images().List().size(),
            static_cast<size_t>(kImages));
  const double full = Milliseconds(start);

  fixture.Reopen();
  start = Now();
  EXPECT_TRUE(fixture.store()
                  .images()
                  .Find("registry.example/team/app77:v3")
                  .has_value());
  EXPECT_TRUE(fixture.store()
                  .images()
                  .Find(Image(777).id.hex().substr(0, 12))
                  .has_value());
  const double find = Milliseconds(start);

  fixture.Reopen();
  start = Now();
  const ImageRecord victim = Image(4321);
  fixture.store().images().RemoveImage(victim.manifest);
  std::vector<oci::Digest> candidates = {victim.manifest, victim.id.digest()};
  for (const auto& layer : victim.layers) candidates.push_back(layer.digest);
  for (const auto& id : victim.diff_ids) candidates.push_back(id.digest());
  fixture.store().SweepOnly(candidates);
  const double remove = Milliseconds(start);

  start = Now();
  fixture.store().Sweep(false);
  const double sweep = Milliseconds(start);

  printf(
      "list %.1f ms, with layers %.1f ms, find %.1f ms, remove %.1f ms, "
      "sweep %.1f ms\n",
      brief, full, find, remove, sweep);
  EXPECT_LT(brief, 500);
  EXPECT_LT(find, 100);
  EXPECT_LT(remove, 300);
}

// COPY --from of a large tree walks it through a View.
TEST(Scale, TwentyThousandFiles) {
  constexpr int kDirectories = 200;
  constexpr int kFiles = 100;
  LocalFixture fixture;
  std::vector<oci::DiffId> chain;
  for (int layer = 0; layer < 5; ++layer) {
    const auto pending = fixture.store().snapshots().Begin();
    std::vector<Node> nodes;
    for (int d = layer; d < kDirectories; d += 5) {
      for (int f = 0; f < kFiles; ++f) {
        nodes.push_back({Node::Kind::kFile, "usr/lib/dir" + std::to_string(d) +
                                                "/file" + std::to_string(f)});
      }
    }
    WriteNodes(pending->fd(), nodes, "");
    chain.emplace_back(D(std::to_string(layer)));
    pending->Commit(chain.back(), {});
  }
  const auto start = Now();
  const auto view = fixture.store().snapshots().View(chain);
  int files = 0;
  for (const std::string& d : view->List("usr/lib")) {
    for (const std::string& f : view->List("usr/lib/" + d)) {
      const auto info = view->Lstat("usr/lib/" + d + "/" + f);
      ASSERT_TRUE(info.has_value());
      ++files;
    }
  }
  const double walk = Milliseconds(start);
  printf("walk of %d files: %.1f ms\n", files, walk);
  EXPECT_EQ(files, kDirectories * kFiles);
  EXPECT_LT(walk, 1000);
}

}  // namespace
}  // namespace imgbuild::store
