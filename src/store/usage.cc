#include "store/usage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

#include "store/tree_size.h"

namespace imgbuild::store {
namespace {

constexpr size_t kMaxSizesFile = 64 << 20;
constexpr uint64_t kBlock = 512;  // of st_blocks

using Sizes = std::map<std::string, uint64_t>;

Sizes ReadLayerSizes(Layout& layout) {
  Sizes sizes;
  const auto text =
      fs::ReadFileIfExists(layout.root_fd(), kLayerSizesFile, kMaxSizesFile);
  if (!text) return sizes;
  for (const std::string& line : Split(*text, '\n')) {
    const size_t space = line.find(' ');
    if (space == std::string::npos) continue;
    const auto bytes = ParseUint(std::string_view(line).substr(space + 1));
    if (bytes) sizes.emplace(line.substr(0, space), *bytes);
  }
  return sizes;
}

void WriteLayerSizes(Layout& layout, const Sizes& sizes) {
  std::string text;
  for (const auto& [name, bytes] : sizes) {
    text += fmt::format("{} {}\n", name, bytes);
  }
  try {
    fs::WriteFileAtomic(layout.root_fd(), kLayerSizesFile, text, 0600);
  } catch (const Error&) {
    // A full disk is what brings people here; they are measured again then.
  }
}

Sizes MeasureLayers(Layout& layout) {
  const Sizes known = ReadLayerSizes(layout);
  Sizes sizes;
  for (const std::string& name : fs::ListDir(layout.layers_fd())) {
    const auto it = known.find(name);
    sizes.emplace(name, it != known.end() ? it->second
                                          : TreeSize(layout.layers_fd(), name));
  }
  if (sizes != known) WriteLayerSizes(layout, sizes);
  return sizes;
}

Sizes MeasureFiles(int dirfd) {
  Sizes sizes;
  for (const std::string& name : fs::ListDir(dirfd)) {
    const auto st = fs::LstatIfExists(dirfd, name);
    if (st) sizes.emplace(name, static_cast<uint64_t>(st->st_blocks) * kBlock);
  }
  return sizes;
}

Sizes MeasureTrees(Layout& layout, const char* place) {
  Sizes sizes;
  const UniqueFd dir =
      fs::OpenIfExists(layout.root_fd(), place, O_RDONLY | O_DIRECTORY);
  if (!dir) return sizes;
  for (const std::string& name : fs::ListDir(dir.get())) {
    sizes.emplace(name, TreeSize(dir.get(), name));
  }
  return sizes;
}

uint64_t Sum(const Sizes& sizes) {
  uint64_t sum = 0;
  for (const auto& [name, bytes] : sizes) sum += bytes;
  return sum;
}

}  // namespace

uint64_t Usage::Total() const {
  return Sum(blobs) + Sum(layers) + Sum(containers) + Sum(cache_mounts) + other;
}

Usage MeasureUsage(Layout& layout) {
  Usage usage;
  for (const auto algorithm :
       {oci::DigestAlgorithm::kSha256, oci::DigestAlgorithm::kSha512}) {
    usage.blobs.merge(MeasureFiles(layout.blobs_fd(algorithm)));
  }
  usage.layers = MeasureLayers(layout);
  usage.containers = MeasureTrees(layout, "containers");
  usage.cache_mounts = MeasureTrees(layout, "mounts");
  for (const char* name :
       {"meta.db", "meta.db-wal", "notes", "stat", "tmp", kLayerSizesFile}) {
    usage.other += TreeSize(layout.root_fd(), name);
  }
  return usage;
}

}  // namespace imgbuild::store
