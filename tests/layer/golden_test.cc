#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/io.h"

// Layer format 1, byte for byte. When one of these fails, existing images
// would get other digests: that takes a new format number, never a new value
// here.
namespace imgbuild::layer {
namespace {

struct Item {
  Entry entry;
  std::string data;
};

Entry MakeEntry(const std::string& path, EntryType type, uint32_t mode) {
  Entry entry;
  entry.path = path;
  entry.type = type;
  entry.mode = mode;
  entry.mtime_s = 315'532'800;
  return entry;
}

// One of everything that the format can say.
std::vector<Item> SmallSet() {
  std::vector<Item> items;
  const auto add = [&items](Entry entry, const std::string& data = "") {
    entry.size = data.size();
    items.push_back({std::move(entry), data});
  };
  Entry whiteout = MakeEntry("bin/.wh.gone", EntryType::kFile, 0);
  Entry shell = MakeEntry("bin/sh", EntryType::kSymlink, 0777);
  shell.link_target = "dash";
  Entry hard = MakeEntry("bin/second", EntryType::kHardLink, 0755);
  hard.link_target = "bin/dash";
  Entry capable = MakeEntry("bin/ping", EntryType::kFile, 0755);
  capable.xattrs["security.capability"] =
      std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  capable.xattrs["user.note"] = "two attributes";
  Entry device = MakeEntry("dev/null", EntryType::kCharDevice, 0666);
  device.dev_major = 1;
  device.dev_minor = 3;
  Entry disk = MakeEntry("dev/sda", EntryType::kBlockDevice, 0660);
  disk.dev_major = 8;
  disk.gid = 6;
  Entry owner = MakeEntry("home/big-ids", EntryType::kFile, 06755);
  owner.uid = 3'000'000'000;
  owner.gid = 2'097'151;
  Entry early = MakeEntry("home/early", EntryType::kFile, 0600);
  early.mtime_s = -86'400;
  const std::string folder(90, 'p');
  Entry long_link = MakeEntry("home/longlink", EntryType::kSymlink, 0777);
  long_link.link_target = "/" + folder + "/" + folder;
  add(MakeEntry("bin", EntryType::kDirectory, 0755));
  add(whiteout);
  add(MakeEntry("bin/dash", EntryType::kFile, 0755), "#!ELF\n");
  add(capable, std::string(512, 'p'));
  add(hard);
  add(shell);
  add(MakeEntry("dev", EntryType::kDirectory, 0755));
  add(MakeEntry("dev/fifo", EntryType::kFifo, 0600));
  add(device);
  add(disk);
  add(MakeEntry("home", EntryType::kDirectory, 02775));
  add(owner, "x");
  add(early);
  add(long_link);
  add(MakeEntry("home/prefix/" + folder + "/f", EntryType::kFile, 0644),
      "in ustar");
  add(MakeEntry("home/too/" + folder + folder + "/f", EntryType::kFile, 0644),
      "in PAX");
  add(MakeEntry("home/\xc3\xa4", EntryType::kDirectory, 0755));
  return items;
}

// A file of three and a half pieces, and small ones around it.
std::vector<Item> BigSet() {
  std::vector<Item> items = SmallSet();
  std::string data;
  uint64_t state = 1;
  while (data.size() < 3'700'000) {
    state = state * 6364136223846793005 + 1442695040888963407;
    data += "word" + std::to_string((state >> 33) % 2000) + " ";
  }
  data.resize(3'700'000);
  Item big{MakeEntry("home/zbig", EntryType::kFile, 0644), std::move(data)};
  big.entry.size = big.data.size();
  items.insert(items.end() - 1, std::move(big));
  for (int i = 0; i < 300; ++i) {
    Item item{
        MakeEntry("z/" + std::to_string(1000 + i), EntryType::kFile, 0644),
        std::string(static_cast<size_t>(i) * 100, 'a')};
    item.entry.size = item.data.size();
    items.push_back(std::move(item));
  }
  return items;
}

struct Layer {
  WrittenLayer written;
  std::string blob;
};

Layer Write(const std::vector<Item>& items, oci::Compression compression) {
  ThreadPool pool(2);
  StringWriter blob;
  LayerWriter writer(blob, pool, compression);
  for (const Item& item : items) {
    StringReader content(item.data);
    writer.Add(item.entry, &content);
  }
  WrittenLayer written = writer.Finish();
  return {std::move(written), blob.Take()};
}

TEST(Golden, FormatAndLevels) {
  EXPECT_EQ(kLayerFormat, 1);
  EXPECT_EQ(kGzipLevel, 3);
  EXPECT_EQ(kZstdLevel, 3);
}

// The file holds the tar of SmallSet(): `tar tvf` it to see what changed.
TEST(Golden, TarBytes) {
  const std::string path =
      std::string(IMGBUILD_TESTDATA) + "/layer/format1.tar";
  const std::string tar = Write(SmallSet(), oci::Compression::kNone).blob;
  if (std::getenv("IMGBUILD_UPDATE_GOLDENS") != nullptr) {
    std::ofstream(path, std::ios::binary) << tar;
  }
  std::ifstream file(path, std::ios::binary);
  std::stringstream expected;
  expected << file.rdbuf();
  ASSERT_EQ(tar.size(), expected.str().size());
  for (size_t block = 0; block < tar.size(); block += 512) {
    ASSERT_EQ(tar.substr(block, 512), expected.str().substr(block, 512))
        << "block " << block / 512;
  }
}

TEST(Golden, SmallDigests) {
  const Layer gzip = Write(SmallSet(), oci::Compression::kGzip);
  EXPECT_EQ(gzip.written.diff_id.ToString(),
            "sha256:"
            "66907076fd7b90917206d0b73ac357b43723027b60a17700961a185d0e0eb32f");
  EXPECT_EQ(gzip.written.digest->ToString(),
            "sha256:"
            "341efd9e01f4947768cf2d0cb73b5e051b15d200fc526f786faba156faf351c6");
  EXPECT_EQ(
      Write(SmallSet(), oci::Compression::kZstd).written.digest->ToString(),
      "sha256:"
      "689d943b6665e56b301c18ad6cf912e5ef149fbc1ab3c02ca22bacbf5645545b");
}

TEST(Golden, BigDigests) {
  const Layer gzip = Write(BigSet(), oci::Compression::kGzip);
  EXPECT_EQ(gzip.written.diff_id.ToString(),
            "sha256:"
            "1a83625e0ae86bbd5a8b2dbc1ecb06b6e14a742e69838f1899d5884f3be5959c");
  EXPECT_EQ(gzip.written.digest->ToString(),
            "sha256:"
            "6c8bd86ed42c57ce57823a775aeefb07b89ccff2e4b3d74083ffc6bab9b7cefb");
  EXPECT_EQ(Write(BigSet(), oci::Compression::kZstd).written.digest->ToString(),
            "sha256:"
            "33aa0bfa2ccf787ad5966cf1217b92a69d5ea06bfdcf5268580dc98fdcdea421");
}

}  // namespace
}  // namespace imgbuild::layer
