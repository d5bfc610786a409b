// Members taken over from an earlier blob: the same bytes as without.
#include "imgbuild/layer/member_index.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/layer/member_recipe.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::layer {
namespace {

using Files = std::map<std::string, std::string>;

constexpr auto kGzip = oci::Compression::kGzip;
constexpr auto kZstd = oci::Compression::kZstd;

struct Written {
  WrittenLayer layer;
  std::string blob;
  MemberIndex index;
};

Written Write(const Files& files, oci::Compression compression,
              std::shared_ptr<const ReusableBlob> previous,
              unsigned threads = 2) {
  ThreadPool pool(threads);
  StringWriter blob;
  LayerWriter writer(blob, pool,
                     {compression, std::move(previous), true, true, nullptr});
  for (const auto& [path, text] : files) {
    Entry entry;
    entry.path = path;
    entry.mode = 0644;
    entry.size = text.size();
    StringReader reader(text);
    writer.Add(entry, &reader);
  }
  WrittenLayer layer = writer.Finish();
  return {std::move(layer), blob.Take(), writer.index()};
}

// The same by members, as COPY does it: those that `previous` has are taken
// without their files. `unknown`: the digest of this file is not known.
Written WriteByRecipe(const Files& files, oci::Compression compression,
                      std::shared_ptr<const ReusableBlob> previous,
                      const std::string& unknown = "", unsigned threads = 2,
                      Writer* tar = nullptr, size_t* taken = nullptr) {
  ThreadPool pool(threads);
  StringWriter blob;
  LayerWriter writer(blob, pool,
                     {compression, std::move(previous), true, true, tar});
  MemberRecipe recipe;
  std::vector<Entry> group;
  bool known = true;
  const auto end_group = [&](bool whole) {
    const std::string name = recipe.Finish();
    if (!group.empty() && known && whole) {
      if (writer.HasMember(name)) {
        writer.TakeMember(name, group.size(), group.back().path);
        if (taken != nullptr) ++*taken;
        group.clear();
      } else {
        writer.NameMember(name);
      }
    }
    for (const Entry& entry : group) {
      StringReader reader(files.at(entry.path));
      writer.Add(entry, &reader);
    }
    group.clear();
    known = true;
  };
  for (const auto& [path, text] : files) {
    Entry entry;
    entry.path = path;
    entry.mode = 0644;
    entry.size = text.size();
    if (recipe.Begins(entry)) end_group(true);
    const oci::Digest digest = oci::Digest::OfBytes(text);
    recipe.Add(text.empty() ? nullptr : &digest);
    known = known && recipe.whole() && path != unknown;
    group.push_back(entry);
  }
  end_group(false);
  EXPECT_EQ(writer.entries(), files.size());
  WrittenLayer layer = writer.Finish();
  return {std::move(layer), blob.Take(), writer.index()};
}

class MemberIndexTest : public ::testing::Test {
 protected:
  std::shared_ptr<const ReusableBlob> Reusable(const Written& written,
                                               const std::string& blob) {
    const UniqueFd out =
        fs::Open(dir_.fd(), "blob", O_RDWR | O_CREAT | O_TRUNC, 0600);
    fs::WriteAll(out.get(), AsBytes(blob), "blob");
    return std::make_shared<const ReusableBlob>(
        written.index, fs::Open(dir_.fd(), "blob", O_RDONLY));
  }
  std::shared_ptr<const ReusableBlob> Reusable(const Written& written) {
    return Reusable(written, written.blob);
  }

  static std::string Text(size_t size, std::mt19937& random) {
    std::string text;
    while (text.size() < size) text += std::to_string(random()) + " ";
    text.resize(size);
    return text;
  }

  static Files SomeFiles(std::mt19937& random) {
    Files files;
    for (int i = 0; i < 300; ++i) {
      files["f" + std::to_string(random() % 1000)] =
          Text(random() % 30'000, random);
    }
    files["big"] = Text(3'400'000, random);
    return files;
  }

  fs::TempDir dir_ = fs::TempDir::InTmp();
};

TEST_F(MemberIndexTest, AnyChangeGivesTheBytesOfAFreshWrite) {
  std::mt19937 random(7);
  for (const auto compression : {kGzip, kZstd}) {
    Files files = SomeFiles(random);
    Written before = Write(files, compression, nullptr);
    for (int round = 0; round < 12; ++round) {
      auto it = files.begin();
      std::advance(it, static_cast<long>(random() % files.size()));
      switch (round % 4) {
        case 0:
          it->second = Text(it->second.size(), random);
          break;
        case 1:
          files.erase(it);
          break;
        case 2:
          files["new" + std::to_string(round)] = Text(5000, random);
          break;
        case 3:
          files["big"][random() % 3'000'000] ^= 1;
          break;
      }
      const Written fresh = Write(files, compression, nullptr, 1);
      const Written reused = Write(files, compression, Reusable(before), 3);
      ASSERT_EQ(reused.blob, fresh.blob);
      EXPECT_EQ(reused.layer.diff_id, fresh.layer.diff_id);
      EXPECT_EQ(reused.layer.digest, fresh.layer.digest);
      EXPECT_EQ(reused.index.Encode(compression),
                fresh.index.Encode(compression));
      before = reused;
    }
  }
}

// If it were compressed again nobody could tell, so the earlier blob is given
// a member with other bytes (and the checksum to match): they show.
TEST_F(MemberIndexTest, MembersAreReallyTaken) {
  std::mt19937 random(1);
  const Files files = SomeFiles(random);
  Written before = Write(files, kGzip, nullptr);
  ASSERT_GT(before.index.members.size(), 3u);
  std::swap(before.index.members[0].identity, before.index.members[1].identity);
  std::swap(before.index.members[0].tar_size, before.index.members[1].tar_size);
  EXPECT_NE(Write(files, kGzip, Reusable(before)).blob, before.blob);
}

TEST_F(MemberIndexTest, RecipesGiveTheBytesOfAFreshWrite) {
  std::mt19937 random(8);
  size_t taken = 0;
  for (const auto compression : {kGzip, kZstd}) {
    Files files = SomeFiles(random);
    Written before = WriteByRecipe(files, compression, nullptr);
    ASSERT_EQ(before.blob, Write(files, compression, nullptr).blob);
    for (int round = 0; round < 16; ++round) {
      auto it = files.begin();
      std::advance(it, static_cast<long>(random() % files.size()));
      const std::string path = it->first;
      switch (round % 5) {
        case 0:
          it->second = Text(it->second.size(), random);
          break;
        case 1:
          files.erase(it);
          break;
        case 2:
          files["new" + std::to_string(round)] = Text(5000, random);
          break;
        case 3:
          files["big"][random() % 3'000'000] ^= 1;
          break;
        case 4:
          break;  // nothing
      }
      const Written fresh = Write(files, compression, nullptr, 1);
      StringWriter tar;
      const bool with_tar = round % 3 == 0;
      const Written reused = WriteByRecipe(
          files, compression, Reusable(before), round % 2 == 0 ? path : "",
          round % 4 + 1, with_tar ? &tar : nullptr, &taken);
      ASSERT_EQ(reused.blob, fresh.blob) << round;
      EXPECT_EQ(reused.layer.diff_id, fresh.layer.diff_id) << round;
      EXPECT_EQ(reused.layer.digest, fresh.layer.digest);
      EXPECT_EQ(reused.layer.tar_size, fresh.layer.tar_size);
      if (with_tar) {
        EXPECT_EQ(oci::Digest::OfBytes(tar.text()),
                  fresh.layer.diff_id.digest());
      }
      // Whoever takes from what was taken finds the states there too.
      ASSERT_EQ(reused.index.members.size(), fresh.index.members.size());
      for (size_t i = 0; i < fresh.index.members.size(); ++i) {
        EXPECT_EQ(reused.index.members[i].tar_state,
                  fresh.index.members[i].tar_state);
        EXPECT_EQ(reused.index.members[i].entries,
                  fresh.index.members[i].entries);
      }
      before = reused;
    }
  }
  EXPECT_GT(taken, 10u);
}

TEST_F(MemberIndexTest, WhatWasTakenFromADamagedBlobIsAnError) {
  std::mt19937 random(9);
  const Files files = SomeFiles(random);
  const Written before = WriteByRecipe(files, kGzip, nullptr);
  std::string damaged = before.blob;
  for (size_t i = 1000; i < damaged.size(); i += 100'000) damaged[i] ^= 4;
  EXPECT_THROW(WriteByRecipe(files, kGzip, Reusable(before, damaged)),
               TakenDamaged);
  EXPECT_THROW(
      WriteByRecipe(files, kGzip, Reusable(before, damaged.substr(0, 99))),
      TakenDamaged);
}

// Everything that stands in the tar stands in the recipe.
TEST(MemberRecipeTest, TellsEntriesApart) {
  std::set<std::string> seen;
  const auto add = [&](const Entry& entry, const char* content) {
    MemberRecipe recipe;
    recipe.Begins(entry);
    const oci::Digest digest = oci::Digest::OfBytes(content);
    recipe.Add(*content == 0 ? nullptr : &digest);
    EXPECT_TRUE(seen.insert(recipe.Finish()).second);
  };
  Entry entry;
  entry.path = "a";
  entry.size = 1;
  add(entry, "1");
  add(entry, "2");
  for (const auto& change : std::vector<std::function<void(Entry&)>>{
           [](Entry& e) { e.path = "b"; }, [](Entry& e) { e.mode = 0600; },
           [](Entry& e) { e.uid = 1; }, [](Entry& e) { e.gid = 1; },
           [](Entry& e) { e.mtime_s = 1; }, [](Entry& e) { e.size = 2; },
           [](Entry& e) { e.xattrs["user.a"] = "1"; }}) {
    Entry changed = entry;
    change(changed);
    add(changed, "1");
  }
  entry.size = 0;
  for (const auto type :
       {EntryType::kSymlink, EntryType::kHardLink, EntryType::kDirectory,
        EntryType::kFifo, EntryType::kFile}) {
    entry.type = type;
    entry.link_target = type <= EntryType::kDirectory ? "" : "t";
    add(entry, "");
  }
}

TEST_F(MemberIndexTest, ADamagedBlobIsNotTaken) {
  std::mt19937 random(2);
  const Files files = SomeFiles(random);
  const Written before = Write(files, kGzip, nullptr);
  std::string damaged = before.blob;
  for (size_t i = 1000; i < damaged.size(); i += 100'000) damaged[i] ^= 4;
  EXPECT_EQ(Write(files, kGzip, Reusable(before, damaged)).blob, before.blob);
  EXPECT_EQ(Write(files, kGzip, Reusable(before, damaged.substr(0, 99))).blob,
            before.blob);
}

TEST_F(MemberIndexTest, BytesRoundTrip) {
  std::mt19937 random(3);
  const Written written = Write(SomeFiles(random), kGzip, nullptr);
  const std::string bytes = written.index.Encode(kGzip);
  const auto decoded = MemberIndex::Decode(bytes, kGzip);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->Encode(kGzip), bytes);
  EXPECT_EQ(decoded->members.back().offset + decoded->members.back().size,
            written.blob.size());
  // Another encoder's members are not ours.
  EXPECT_FALSE(MemberIndex::Decode(bytes, kZstd));
}

TEST_F(MemberIndexTest, DamagedBytesAreRefusedOrRead) {
  std::mt19937 random(4);
  Files files;
  for (int i = 0; i < 20; ++i)
    files["f" + std::to_string(i)] = Text(99, random);
  const std::string bytes = Write(files, kGzip, nullptr).index.Encode(kGzip);
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(MemberIndex::Decode(bytes.substr(0, cut), kGzip)) << cut;
  }
  for (int i = 0; i < 20'000; ++i) {
    std::string damaged = bytes;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto index = MemberIndex::Decode(damaged, kGzip);
    if (!index) continue;
    for (const auto& member : index->members) ReadEntries(member.entries);
  }
}

TEST_F(MemberIndexTest, SaysWhichEntriesAreWhere) {
  std::mt19937 random(5);
  const Files files = SomeFiles(random);
  const Written written = Write(files, kGzip, nullptr);
  size_t begun = 0;
  size_t continued = 0;
  for (const MemberRecord& member : written.index.members) {
    const auto entries = ReadEntries(member.entries);
    ASSERT_TRUE(entries);
    for (const MemberEntry& entry : *entries) {
      EXPECT_TRUE(files.contains(entry.path));
      if (entry.continued_at == 0) {
        ++begun;
      } else {
        EXPECT_EQ(entry.path, "big");
        ++continued;
      }
    }
  }
  EXPECT_EQ(begun, files.size());
  EXPECT_EQ(continued, 3u);
}

TEST_F(MemberIndexTest, TheTarIsPassedOn) {
  ThreadPool pool(1);
  StringWriter blob;
  StringWriter tar;
  LayerWriter writer(blob, pool, {kGzip, nullptr, false, true, &tar});
  Entry entry;
  entry.path = "f";
  entry.size = 4;
  StringReader content("text");
  writer.Add(entry, &content);
  const WrittenLayer layer = writer.Finish();
  EXPECT_EQ(oci::Digest::OfBytes(tar.text()), layer.diff_id.digest());
}

}  // namespace
}  // namespace imgbuild::layer
