// A step's layer is the same tree whether it was left behind by the step or
// unpacked from the tar that was made of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include "imgbuild/layer/diff.h"
#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/thread_pool.h"

#include "random_layers.h"
#include "store_test_util.h"
#include "support/layer_tree.h"

namespace imgbuild::store {
namespace {

using Lines = std::vector<std::string>;

constexpr int64_t kEpoch = 1500;

oci::DiffId Id(const std::string& text) {
  return oci::DiffId(oci::Digest::OfBytes(text));
}

// The root's own line says nothing: layers of steps never mention it.
Lines WithoutRoot(const FileTree& tree) {
  Lines lines = Describe(tree);
  lines.erase(lines.begin());
  return lines;
}

std::string TarOf(const Active& active, const std::string& opaque_xattr) {
  StringWriter tar;
  ThreadPool pool(1);
  layer::LayerWriter writer(tar, pool, oci::Compression::kNone);
  layer::DiffOptions options;
  options.epoch = kEpoch;
  options.opaque_xattr = opaque_xattr;
  layer::EmitUpper(active.upper_fd(), *active.lower(), options,
                   [&writer](const layer::Entry& entry, Reader* content) {
                     writer.Add(entry, content);
                   });
  writer.Finish();
  return tar.Take();
}

void Unpack(Snapshotter& snapshots, const std::string& tar,
            const oci::DiffId& id) {
  const auto pending = snapshots.Begin();
  StringReader reader(tar);
  layer::ExtractOptions options;
  options.opaque_xattr = snapshots.opaque_xattr();
  pending->Commit(id, layer::Extract(reader, pending->fd(), options));
}

TEST(Normalize, ACommittedStepIsWhatItsTarUnpacksTo) {
  if (!CanWriteLayers()) GTEST_SKIP() << "whiteouts and ownership need root";
  constexpr unsigned kRounds = 150;
  LocalFixture fixture;
  Snapshotter& snapshots = fixture.store().snapshots();
  for (unsigned round = 0; round < kRounds; ++round) {
    RandomLayers random(round);
    const std::string name = std::to_string(round);
    std::vector<oci::DiffId> chain;
    for (int i = 0; i < 2; ++i) {
      layer::ExtractResult result;
      const std::vector<Node> nodes = random.Layer(&result);
      const auto pending = snapshots.Begin();
      WriteNodes(pending->fd(), nodes, snapshots.opaque_xattr());
      chain.push_back(Id(name + "/" + std::to_string(i)));
      pending->Commit(chain.back(), result);
    }
    const auto active = snapshots.Prepare(chain);
    layer::ExtractResult ignored;
    WriteNodes(active->upper_fd(), random.Layer(&ignored),
               snapshots.opaque_xattr());
    const std::string tar = TarOf(*active, snapshots.opaque_xattr());
    Unpack(snapshots, tar, Id(name + " unpacked"));
    active->Commit(Id(name + " committed"), kEpoch);

    std::vector<oci::DiffId> unpacked = chain;
    unpacked.push_back(Id(name + " unpacked"));
    std::vector<oci::DiffId> committed = chain;
    committed.push_back(Id(name + " committed"));
    EXPECT_EQ(WithoutRoot(*snapshots.View(committed)),
              WithoutRoot(*snapshots.View(unpacked)))
        << "round " << round;
  }
}

}  // namespace
}  // namespace imgbuild::store
