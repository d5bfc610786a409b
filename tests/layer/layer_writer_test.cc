#include "imgbuild/layer/layer_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {
namespace {

using ::testing::SizeIs;

constexpr auto kNone = oci::Compression::kNone;
constexpr auto kGzip = oci::Compression::kGzip;
constexpr auto kZstd = oci::Compression::kZstd;

struct Item {
  Entry entry;
  std::string data;
};

Item FileItem(const std::string& path, const std::string& data) {
  Item item;
  item.entry.path = path;
  item.entry.mode = 0644;
  item.entry.size = data.size();
  item.entry.mtime_s = 1'700'000'000;
  item.data = data;
  return item;
}

Item DirItem(const std::string& path) {
  Item item;
  item.entry.path = path;
  item.entry.type = EntryType::kDirectory;
  item.entry.mode = 0755;
  return item;
}

struct Layer {
  WrittenLayer written;
  std::string blob;
};

Layer WriteLayer(const std::vector<Item>& items,
                 oci::Compression compression = kGzip, unsigned threads = 2) {
  ThreadPool pool(threads);
  StringWriter blob;
  LayerWriter writer(blob, pool, compression);
  for (const Item& item : items) {
    StringReader content(item.data);
    writer.Add(item.entry, &content);
  }
  EXPECT_EQ(writer.entries(), items.size());
  WrittenLayer written = writer.Finish();
  return {std::move(written), blob.Take()};
}

std::string Inflate(const std::string& blob, oci::Compression compression) {
  StringReader input(blob);
  return ReadAll(*Decompress(input, compression), 1u << 30, "layer");
}

std::vector<Item> ReadTar(const std::string& tar) {
  StringReader input(tar);
  TarReader reader(input);
  std::vector<Item> items;
  while (auto entry = reader.Next()) {
    std::string data;
    std::byte buffer[65536];
    while (const size_t n = reader.Read(buffer)) data += AsText({buffer, n});
    items.push_back({std::move(*entry), std::move(data)});
  }
  return items;
}

// The members of a gzip blob: where each one's magic and our fixed header is.
std::vector<std::string> Members(const std::string& blob) {
  const std::string header("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  std::vector<std::string> members;
  size_t begin = 0;
  while (begin < blob.size()) {
    size_t end = blob.find(header, begin + 1);
    end = std::min(end, blob.size());
    members.push_back(blob.substr(begin, end - begin));
    begin = end;
  }
  return members;
}

std::string RandomText(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  text.reserve(size + 16);
  while (text.size() < size) text += std::to_string(random()) + " ";
  text.resize(size);
  return text;
}

// A tree of `count` small files and one big one.
std::vector<Item> SomeItems(int count) {
  std::map<std::string, Item> sorted;
  std::mt19937 random(11);
  for (int i = 0; i < count; ++i) {
    const std::string path =
        "dir" + std::to_string(i % 20) + "/file" + std::to_string(i);
    sorted[path] = FileItem(path, RandomText(random() % 20'000, random()));
  }
  for (int i = 0; i < 20; ++i) {
    const std::string path = "dir" + std::to_string(i);
    sorted[path] = DirItem(path);
  }
  sorted["dir5/big"] = FileItem("dir5/big", RandomText(5'300'000, 4));
  std::vector<Item> items;
  for (auto& [path, item] : sorted) items.push_back(std::move(item));
  return items;
}

TEST(LayerWriter, ReportsTheDigestsOfWhatItWrote) {
  const std::vector<Item> items = {DirItem("a"), FileItem("a/f", "data")};
  for (const auto compression : {kNone, kGzip, kZstd}) {
    const Layer layer = WriteLayer(items, compression);
    EXPECT_EQ(layer.written.digest, oci::Digest::OfBytes(layer.blob));
    EXPECT_EQ(layer.written.size, layer.blob.size());
    const std::string tar = Inflate(layer.blob, compression);
    EXPECT_EQ(layer.written.diff_id.digest(), oci::Digest::OfBytes(tar));
    EXPECT_EQ(layer.written.tar_size, tar.size());
    // Directory, file, its data, end of archive.
    EXPECT_EQ(tar.size(), 512u * 5);
  }
}

TEST(LayerWriter, DiffIdDoesNotDependOnTheEncoder) {
  const std::vector<Item> items = SomeItems(100);
  const auto diff_id = WriteLayer(items, kNone).written.diff_id;
  EXPECT_EQ(WriteLayer(items, kGzip).written.diff_id, diff_id);
  EXPECT_EQ(WriteLayer(items, kZstd).written.diff_id, diff_id);
}

TEST(LayerWriter, ALayerOfNothingIsAnEmptyArchive) {
  const Layer layer = WriteLayer({});
  EXPECT_EQ(Inflate(layer.blob, kGzip), std::string(1024, '\0'));
}

TEST(LayerWriter, AnyNumberOfThreadsGivesTheSameBytes) {
  const std::vector<Item> items = SomeItems(800);
  for (const auto compression : {kGzip, kZstd}) {
    const Layer one = WriteLayer(items, compression, 1);
    for (const unsigned threads : {2u, 3u, 8u}) {
      EXPECT_EQ(WriteLayer(items, compression, threads).blob, one.blob);
    }
  }
}

TEST(LayerWriter, WorksInsideAJobOfItsOwnPool) {
  const std::vector<Item> items = SomeItems(800);
  ThreadPool pool(1);
  const std::string blob = pool.Submit([&] {
                                 StringWriter out;
                                 LayerWriter writer(out, pool, kGzip);
                                 for (const Item& item : items) {
                                   StringReader content(item.data);
                                   writer.Add(item.entry, &content);
                                 }
                                 writer.Finish();
                                 return out.Take();
                               })
                               .get();
  EXPECT_EQ(blob, WriteLayer(items).blob);
}

TEST(LayerWriter, AChangedFileChangesItsOwnMemberOnly) {
  std::vector<Item> items = SomeItems(800);
  const auto before = Members(WriteLayer(items).blob);
  ASSERT_GT(before.size(), 8u);
  for (const size_t changed : {size_t{3}, items.size() / 2, items.size() - 1}) {
    std::vector<Item> other = items;
    // Same size, so that its own cut stays where it is.
    if (other[changed].data.empty()) continue;
    other[changed].data[0] ^= 1;
    const auto after = Members(WriteLayer(other).blob);
    ASSERT_EQ(after.size(), before.size());
    int differ = 0;
    for (size_t i = 0; i < after.size(); ++i) differ += after[i] != before[i];
    EXPECT_EQ(differ, 1);
  }
}

TEST(LayerWriter, AnAddedFileMovesNoCuts) {
  std::vector<Item> items = SomeItems(800);
  const auto list = Members(WriteLayer(items).blob);
  const std::set<std::string> before(list.begin(), list.end());
  const auto at = std::find_if(items.begin(), items.end(), [](const Item& i) {
    return i.entry.path > "dir3/new";
  });
  items.insert(at, FileItem("dir3/new", RandomText(500'000, 3)));
  int fresh = 0;
  for (const std::string& member : Members(WriteLayer(items).blob)) {
    fresh += !before.contains(member);
  }
  EXPECT_LE(fresh, 3);
}

TEST(LayerWriter, BigFilesAreCutFromTheirOwnStart) {
  // A byte in the middle of a big file, and a longer file before it: the other
  // pieces stay as they are.
  const std::string big = RandomText(5u << 20, 5);
  std::string touched = big;
  touched[touched.size() / 2] ^= 1;
  const auto base =
      Members(WriteLayer({FileItem("a", "1"), FileItem("b", big)}, kGzip).blob);
  const auto other = Members(
      WriteLayer({FileItem("a", "12345"), FileItem("b", touched)}, kGzip).blob);
  ASSERT_THAT(base, SizeIs(7));
  ASSERT_THAT(other, SizeIs(7));
  int differ = 0;
  for (size_t i = 0; i < base.size(); ++i) differ += base[i] != other[i];
  EXPECT_EQ(differ, 2);
}

TEST(LayerWriter, MembersAreAboutAMebibyte) {
  std::vector<Item> items = SomeItems(4000);
  const Layer layer = WriteLayer(items);
  const size_t members = Members(layer.blob).size();
  const double average = static_cast<double>(layer.written.tar_size) /
                         static_cast<double>(members);
  EXPECT_GT(average, 0.6e6);
  EXPECT_LT(average, 1.6e6);
}

// Names that never cut by themselves: the cap does.
TEST(LayerWriter, AMemberHasABound) {
  std::vector<Item> items;
  for (int i = 0; i < 100'000; ++i) {
    char path[16];
    std::snprintf(path, sizeof path, "%06d", i);
    Item item = FileItem(path, "");
    items.push_back(std::move(item));
  }
  const Layer layer = WriteLayer(items);
  size_t largest = 0;
  for (const std::string& member : Members(layer.blob)) {
    largest = std::max(largest, Inflate(member, kGzip).size());
  }
  EXPECT_LE(largest, (8u << 20) + 512);
}

TEST(LayerWriter, KeepsEverythingThatAnEntryCanSay) {
  std::vector<Item> items;
  const auto add = [&items](const std::string& path) -> Entry& {
    Item item;
    item.entry.path = path;
    item.entry.mode = 0644;
    items.push_back(std::move(item));
    return items.back().entry;
  };
  add("a").mtime_s = -5;
  add("b").mtime_s = 1ll << 40;
  add("c").uid = 2'097'151;
  add("d").uid = 2'097'152;
  add("e").gid = 4'000'000'000;
  add("f").mode = 07777;
  Entry& attributes = add("g");
  attributes.xattrs["security.capability"] = std::string("\1\0\0\2\n=", 6);
  attributes.xattrs["user.a"] = "";
  attributes.xattrs["user.b"] = std::string(5000, 'v');
  Entry& link = add("h");
  link.type = EntryType::kSymlink;
  link.link_target = std::string(99, '.') + "/";
  Entry& long_link = add("i");
  long_link.type = EntryType::kSymlink;
  long_link.link_target = std::string(101, 't');
  Entry& hard = add("j");
  hard.type = EntryType::kHardLink;
  hard.link_target = "sch\xc3\xb6n\xff";
  Entry& device = add("k");
  device.type = EntryType::kCharDevice;
  device.dev_major = 4095;
  device.dev_minor = 1'048'575;
  add("l").type = EntryType::kFifo;
  Entry& block = add("m");
  block.type = EntryType::kBlockDevice;
  block.dev_major = 8;
  // Names: every length around the limits of ustar, with and without a slash.
  for (size_t length = 90; length <= 300; ++length) {
    std::string name = "n" + std::to_string(1000 + length) + "/";
    name.resize(length, 'x');
    add(name);
    name = "o" + std::to_string(1000 + length) + "/";
    name.resize(length, 'y');
    name[length - 20] = '/';
    add(name).type = EntryType::kDirectory;
  }
  add("p\xc3\xa4/" + std::string(100, '\xfe'));
  add("q/" + std::string(250, 'z') + "/" + std::string(254, 'z'));
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return a.entry.path < b.entry.path;
  });
  const Layer layer = WriteLayer(items, kNone);
  const auto read = ReadTar(layer.blob);
  ASSERT_EQ(read.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    const Entry& in = items[i].entry;
    const Entry& out = read[i].entry;
    SCOPED_TRACE(in.path);
    const bool directory = in.type == EntryType::kDirectory;
    EXPECT_EQ(out.path, directory ? in.path + "/" : in.path);
    EXPECT_EQ(out.type, in.type);
    EXPECT_EQ(out.mode, in.mode);
    EXPECT_EQ(out.uid, in.uid);
    EXPECT_EQ(out.gid, in.gid);
    EXPECT_EQ(out.mtime_s, in.mtime_s);
    EXPECT_EQ(out.link_target, in.link_target);
    EXPECT_EQ(out.dev_major, in.dev_major);
    EXPECT_EQ(out.dev_minor, in.dev_minor);
    EXPECT_EQ(out.xattrs, in.xattrs);
  }
}

TEST(LayerWriter, FractionsOfASecondDoNotShow) {
  Item item = FileItem("a", "x");
  const std::string before = WriteLayer({item}).blob;
  item.entry.mtime_ns = 999'999'999;
  EXPECT_EQ(WriteLayer({item}).blob, before);
}

std::string AddError(const std::vector<Item>& items) {
  try {
    WriteLayer(items);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kHost);
    return error.message();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

TEST(LayerWriter, ContentOfAnotherSizeIsAnError) {
  Item shorter = FileItem("f", "12345");
  shorter.entry.size = 6;
  EXPECT_EQ(AddError({shorter}), "\"f\" changed while it was read");
  Item longer = FileItem("f", "12345");
  longer.entry.size = 4;
  EXPECT_EQ(AddError({longer}), "\"f\" changed while it was read");
  Item empty = FileItem("f", "12345");
  empty.entry.size = 0;
  EXPECT_EQ(AddError({empty}), "\"f\" changed while it was read");
}

TEST(LayerWriter, OrderAndNamesAreChecked) {
  EXPECT_EQ(AddError({FileItem("b", ""), FileItem("a", "")}),
            "internal: layer entry \"a\" after \"b\"");
  EXPECT_EQ(AddError({FileItem("a", ""), FileItem("a", "")}),
            "internal: layer entry \"a\" after \"a\"");
  for (const char* path : {"", "/a", "a/", "a//b", "./a", "a/..", "a/./b"}) {
    EXPECT_EQ(AddError({FileItem(path, "")}),
              std::string("internal: layer entry \"") + path + "\" after \"\"");
  }
}

TEST(LayerWriter, AnAttributeNameWithAnEqualsSignIsAnError) {
  Item item = FileItem("f", "");
  item.entry.xattrs["user.a=b"] = "x";
  EXPECT_EQ(AddError({item}),
            "\"f\": extended attribute \"user.a=b\" cannot be stored in a "
            "layer");
}

TEST(LayerWriter, AnErrorOfTheContentComesThroughAndNothingHangs) {
  class Failing : public Reader {
    size_t Read(std::span<std::byte>) override {
      throw Error(ErrorCode::kHost, "read \"f\": input/output error");
    }
  };
  ThreadPool pool(2);
  StringWriter blob;
  LayerWriter writer(blob, pool);
  const std::string big = RandomText(20u << 20, 1);
  Item item = FileItem("a", big);
  StringReader content(big);
  writer.Add(item.entry, &content);
  Failing failing;
  EXPECT_THROW(writer.Add(FileItem("b", "x").entry, &failing), Error);
}

TEST(LayerWriter, AnErrorOfTheOutputComesThrough) {
  class Full : public Writer {
    void Write(Bytes) override {
      throw Error(ErrorCode::kHost, "write: no space left on device");
    }
  };
  ThreadPool pool(2);
  Full full;
  LayerWriter writer(full, pool);
  Item item = FileItem("a", "x");
  StringReader content("x");
  writer.Add(item.entry, &content);
  EXPECT_THROW(writer.Finish(), Error);
}

}  // namespace
}  // namespace imgbuild::layer
