#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/diff.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/layer_writer.h"

#include "layer/layer_test_util.h"

// Whatever tree there is: to a layer and back, it is the same tree.
namespace imgbuild::layer {
namespace {

struct Item {
  Entry entry;
  std::string data;
};

class TreeMaker {
 public:
  explicit TreeMaker(uint32_t seed) : random_(seed) {}

  // In the writer's order.
  std::vector<Item> Make() {
    Fill("", 0);
    std::vector<Item> items;
    for (auto& [path, item] : items_) items.push_back(std::move(item));
    return items;
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }

  std::string Name() {
    static constexpr std::string_view kParts[] = {
        "a",        "b",    "file",
        ".x",       "-",    "0",
        " ",        "\n",   "\\",
        "\xc3\xa4", "\xff", "long-name-long-name-long-name-long-name-long-name",
        "~",        "=",    "*"};
    std::string name;
    do {
      name = "";
      for (size_t n = 1 + Below(5); n > 0; --n) {
        name += kParts[Below(std::size(kParts))];
      }
    } while (name == "." || name == ".." || name.starts_with(".wh."));
    return name;
  }

  void Fill(const std::string& prefix, int depth) {
    for (size_t n = Below(8) + (depth == 0 ? 3 : 0); n > 0; --n) {
      const std::string path = prefix + Name();
      if (items_.contains(path)) continue;
      Item item;
      Entry& entry = item.entry;
      entry.path = path;
      entry.mode = static_cast<uint32_t>(Below(010000));
      entry.uid =
          static_cast<uint32_t>(Below(4) == 0 ? random_() >> 1 : Below(1000));
      entry.gid = static_cast<uint32_t>(Below(1000));
      entry.mtime_s = static_cast<int64_t>(Below(2'000'000'000));
      if (Below(4) == 0) {
        entry.xattrs["user.key" + std::to_string(Below(9))] =
            std::string(Below(50), static_cast<char>(Below(256)));
      }
      AddAs(Below(10), depth, std::move(item));
    }
  }

  void AddAs(size_t kind, int depth, Item item) {
    Entry& entry = item.entry;
    const std::string path = entry.path;
    if (kind < 3 && depth < 6) {
      entry.type = EntryType::kDirectory;
      items_[path] = std::move(item);
      Fill(path + "/", depth + 1);
      return;
    }
    if (kind == 3) {
      entry.type = EntryType::kSymlink;
      entry.mode = 0777;
      entry.xattrs.clear();
      entry.link_target =
          Below(2) == 0 ? "/" + Name() : Name() + "/../" + Name();
    } else if (kind == 4) {
      entry.type = EntryType::kFifo;
      entry.xattrs.clear();
    } else if (kind == 5) {
      entry.type = EntryType::kCharDevice;
      entry.xattrs.clear();
      entry.dev_major = 1 + static_cast<uint32_t>(Below(4000));
      entry.dev_minor = static_cast<uint32_t>(Below(1'000'000));
    } else {
      item.data.resize(Below(20) == 0 ? Below(3'000'000) : Below(3000));
      for (char& c : item.data) c = static_cast<char>(Below(60));
      entry.size = item.data.size();
    }
    items_[path] = std::move(item);
  }

  std::mt19937 random_;
  std::map<std::string, Item> items_;
};

std::string WriteBlob(const std::vector<Item>& items,
                      oci::Compression compression, unsigned threads) {
  ThreadPool pool(threads);
  StringWriter blob;
  LayerWriter writer(blob, pool, compression);
  for (const Item& item : items) {
    StringReader content(item.data);
    writer.Add(item.entry, &content);
  }
  writer.Finish();
  return blob.Take();
}

std::string Inflate(const std::string& blob, oci::Compression compression) {
  StringReader input(blob);
  return ReadAll(*Decompress(input, compression), 1u << 30, "layer");
}

class RoundTrip : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Seeds, RoundTrip, ::testing::Range(0u, 25u));

TEST_P(RoundTrip, TreeToLayerToTree) {
  if (!IsPrivileged()) GTEST_SKIP() << "needs root for owners and devices";
  const std::vector<Item> items = TreeMaker(GetParam()).Make();
  const auto compression =
      GetParam() % 2 == 0 ? oci::Compression::kGzip : oci::Compression::kZstd;
  const std::string blob = WriteBlob(items, compression, 2);
  EXPECT_EQ(WriteBlob(items, compression, 1), blob);
  const std::string tar = Inflate(blob, compression);

  Sandbox box;
  const ExtractResult result = box.Extract(tar);
  EXPECT_EQ(result.entries, items.size());
  EXPECT_TRUE(result.implied_directories.empty());

  // The extracted directory is the upper directory of a step on nothing:
  // reading it back gives the very same entries, and so the same layer.
  DiffOptions options;
  options.epoch = 4'000'000'000;
  size_t index = 0;
  ThreadPool pool(2);
  StringWriter again;
  LayerWriter writer(again, pool, compression);
  EmitUpper(box.root(), EmptyTree(), options,
            [&](const Entry& entry, Reader* content) {
              ASSERT_LT(index, items.size());
              const Entry& expected = items[index++].entry;
              SCOPED_TRACE(expected.path);
              EXPECT_EQ(entry.path, expected.path);
              EXPECT_EQ(entry.type, expected.type);
              EXPECT_EQ(entry.mode, expected.mode);
              EXPECT_EQ(entry.uid, expected.uid);
              EXPECT_EQ(entry.gid, expected.gid);
              EXPECT_EQ(entry.mtime_s, expected.mtime_s);
              EXPECT_EQ(entry.link_target, expected.link_target);
              EXPECT_EQ(entry.dev_major, expected.dev_major);
              EXPECT_EQ(entry.dev_minor, expected.dev_minor);
              EXPECT_EQ(entry.xattrs, expected.xattrs);
              writer.Add(entry, content);
            });
  EXPECT_EQ(index, items.size());
  writer.Finish();
  EXPECT_EQ(again.text(), blob);
}

}  // namespace
}  // namespace imgbuild::layer
