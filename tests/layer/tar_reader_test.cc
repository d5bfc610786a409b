#include "imgbuild/layer/tar_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"

#include "layer/layer_test_util.h"

namespace imgbuild::layer {
namespace {

using ::testing::HasSubstr;

struct Member {
  Entry entry;
  std::string data;
};

std::vector<Member> ReadTar(const std::string& tar,
                            const TarLimits& limits = {}) {
  StringReader input(tar);
  TarReader reader(input, limits);
  std::vector<Member> members;
  while (auto entry = reader.Next()) {
    std::string data;
    std::byte buffer[1000];
    while (const size_t n = reader.Read(buffer)) data += AsText({buffer, n});
    members.push_back({std::move(*entry), std::move(data)});
  }
  return members;
}

Entry OnlyEntry(const std::string& tar) {
  const auto members = ReadTar(tar);
  EXPECT_EQ(members.size(), 1u);
  return members.at(0).entry;
}

std::string TarError(const std::string& tar, const TarLimits& limits = {}) {
  try {
    ReadTar(tar, limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
    return error.message();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

TEST(TarReader, ReadsEveryTypeOfEntry) {
  const auto members = ReadTar(TarBuilder()
                                   .Owner(1, 2)
                                   .Dir("d/", 01777)
                                   .File("d/f", "data", 04755)
                                   .Symlink("d/l", "../../x/./y")
                                   .HardLink("d/h", "d/f")
                                   .Node('3', "d/c", 1, 3, 0666)
                                   .Node('4', "d/b", 8, 1, 0660)
                                   .Node('6', "d/p", 0, 0, 0600)
                                   .Finish());
  ASSERT_EQ(members.size(), 7u);
  EXPECT_EQ(members[0].entry.type, EntryType::kDirectory);
  EXPECT_EQ(members[0].entry.path, "d/");
  EXPECT_EQ(members[0].entry.mode, 01777u);
  EXPECT_EQ(members[0].entry.uid, 1u);
  EXPECT_EQ(members[0].entry.gid, 2u);
  EXPECT_EQ(members[0].entry.mtime_s, 1'000'000'000);
  EXPECT_EQ(members[1].entry.type, EntryType::kFile);
  EXPECT_EQ(members[1].entry.mode, 04755u);
  EXPECT_EQ(members[1].entry.size, 4u);
  EXPECT_EQ(members[1].data, "data");
  EXPECT_EQ(members[2].entry.type, EntryType::kSymlink);
  EXPECT_EQ(members[2].entry.link_target, "../../x/./y");
  EXPECT_EQ(members[3].entry.type, EntryType::kHardLink);
  EXPECT_EQ(members[3].entry.link_target, "d/f");
  EXPECT_EQ(members[4].entry.type, EntryType::kCharDevice);
  EXPECT_EQ(members[4].entry.dev_major, 1u);
  EXPECT_EQ(members[4].entry.dev_minor, 3u);
  EXPECT_EQ(members[5].entry.type, EntryType::kBlockDevice);
  EXPECT_EQ(members[5].entry.dev_major, 8u);
  EXPECT_EQ(members[6].entry.type, EntryType::kFifo);
}

TEST(TarReader, NamesAreTheBytesOfTheArchive) {
  // UTF-8 and not UTF-8, in the ustar field and in PAX records.
  for (const std::string name :
       {"sch\xc3\xb6n", "latin-sch\xf6n", "a//b/./c/../d", "/abs", "./x",
        "new\nline", "back\\slash"}) {
    EXPECT_EQ(OnlyEntry(TarBuilder().File(name, "").Finish()).path, name);
    EXPECT_EQ(OnlyEntry(TarBuilder()
                            .Pax({{"path", name}, {"linkpath", name + "!"}})
                            .Symlink("x", "y")
                            .Finish())
                  .path,
              name);
    EXPECT_EQ(OnlyEntry(TarBuilder()
                            .Pax({{"path", name}, {"linkpath", name + "!"}})
                            .Symlink("x", "y")
                            .Finish())
                  .link_target,
              name + "!");
  }
}

TEST(TarReader, ReadsGnuLongNames) {
  const std::string name = std::string(300, 'n') + "/f";
  const std::string target = std::string(200, 't');
  const Entry entry = OnlyEntry(
      TarBuilder()
          .Raw('L', "././@LongLink", "", name + '\0', name.size() + 1, 0)
          .Raw('K', "././@LongLink", "", target + '\0', target.size() + 1, 0)
          .Symlink("short", "short")
          .Finish());
  EXPECT_EQ(entry.path, name);
  EXPECT_EQ(entry.link_target, target);
}

TEST(TarReader, ReadsPaxRecords) {
  const Entry entry = OnlyEntry(TarBuilder()
                                    .Pax({{"uid", "4000000000"},
                                          {"gid", "3000000"},
                                          {"mtime", "-12.5"},
                                          {"SCHILY.xattr.user.a", "v\n=x"},
                                          {"SCHILY.xattr.security.capability",
                                           std::string("\1\0\0\2", 4)}})
                                    .File("f", "")
                                    .Finish());
  EXPECT_EQ(entry.uid, 4'000'000'000u);
  EXPECT_EQ(entry.gid, 3'000'000u);
  EXPECT_EQ(entry.xattrs.at("user.a"), "v\n=x");
  EXPECT_EQ(entry.xattrs.at("security.capability"), std::string("\1\0\0\2", 4));
  const Entry later = OnlyEntry(TarBuilder()
                                    .Pax({{"mtime", "1700000000.123456789"}})
                                    .File("f", "")
                                    .Finish());
  EXPECT_EQ(later.mtime_s, 1'700'000'000);
  EXPECT_EQ(later.mtime_ns, 123'456'789u);
}

TEST(TarReader, AnEmptyStreamAndAnEmptyArchiveHaveNoEntries) {
  EXPECT_TRUE(ReadTar("").empty());
  EXPECT_TRUE(ReadTar(std::string(1024, '\0')).empty());
  EXPECT_TRUE(ReadTar(std::string(10'240, '\0')).empty());
}

TEST(TarReader, ReadsItsInputToTheEnd) {
  StringReader input(TarBuilder().File("a", "b").Finish() +
                     std::string(1u << 20, '\0') + "after the end");
  TarReader reader(input);
  while (reader.Next()) {
  }
  std::byte rest[1];
  EXPECT_EQ(input.Read(rest), 0u);
  EXPECT_EQ(reader.Next(), std::nullopt);
}

TEST(TarReader, UnreadDataIsSkipped) {
  const std::string big(3u << 20, 'x');
  StringReader input(TarBuilder().File("a", big).File("b", "B").Finish());
  TarReader reader(input);
  EXPECT_EQ(reader.Next()->path, "a");
  EXPECT_EQ(reader.Next()->path, "b");
  std::byte buffer[10];
  EXPECT_EQ(reader.Read(buffer), 1u);
  EXPECT_EQ(reader.Read(buffer), 0u);
}

TEST(TarReader, SparseHolesAreZeros) {
  // PAX sparse 1.0: the map comes first in the data.
  std::string map = "2\n100000\n3\n300000\n4\n";
  map.resize(512, '\0');
  const std::string data = map + "abcdefg";
  const auto members = ReadTar(TarBuilder()
                                   .Pax({{"GNU.sparse.major", "1"},
                                         {"GNU.sparse.minor", "0"},
                                         {"GNU.sparse.name", "sparse"},
                                         {"GNU.sparse.realsize", "400000"}})
                                   .File("GNUSparseFile.0/sparse", data)
                                   .Finish());
  ASSERT_EQ(members.size(), 1u);
  EXPECT_EQ(members[0].entry.path, "sparse");
  EXPECT_EQ(members[0].entry.size, 400'000u);
  std::string expected(400'000, '\0');
  std::memcpy(expected.data() + 100'000, "abc", 3);
  std::memcpy(expected.data() + 300'000, "defg", 4);
  EXPECT_EQ(members[0].data, expected);
}

TEST(TarReader, TruncationIsAnError) {
  const std::string tar =
      TarBuilder().File("a", std::string(5000, 'x')).bytes();
  for (const size_t size : {1u, 100u, 511u, 513u, 5000u}) {
    EXPECT_THAT(TarError(tar.substr(0, size)), HasSubstr("tar: ")) << size;
  }
}

TEST(TarReader, GarbageIsAnError) {
  EXPECT_THAT(TarError(std::string(2000, 'g')), HasSubstr("tar: "));
  std::string tar = TarBuilder().File("a", "x").File("b", "y").Finish();
  tar[1024] = 'c';  // the second header no longer sums up
  EXPECT_THAT(TarError(tar), HasSubstr("tar: "));
}

TEST(TarReader, OtherArchiveFormatsAreNotRead) {
  // T16: cpio, ar, zip and a gzip of a tar are all garbage here.
  EXPECT_THAT(TarError("070701" + std::string(1000, '0')), HasSubstr("tar: "));
  EXPECT_THAT(TarError("!<arch>\n" + std::string(1000, ' ')),
              HasSubstr("tar: "));
  EXPECT_THAT(TarError("PK\3\4" + std::string(1000, '\0')), HasSubstr("tar: "));
  EXPECT_THAT(TarError("\x1f\x8b\x08" + std::string(1000, '\0')),
              HasSubstr("tar: "));
}

TEST(TarReader, LimitsHold) {
  TarLimits limits;
  limits.max_path_bytes = 50;
  EXPECT_EQ(
      TarError(TarBuilder().File(std::string(51, 'n'), "").Finish(), limits),
      "tar: a name of 51 bytes, the limit is 50");
  EXPECT_EQ(TarError(TarBuilder().Symlink("l", std::string(51, 't')).Finish(),
                     limits),
            "tar: a link target of 51 bytes, the limit is 50");
  limits = {};
  limits.max_entries = 2;
  EXPECT_EQ(
      TarError(TarBuilder().File("a", "").File("b", "").File("c", "").Finish(),
               limits),
      "tar: more than 2 entries");
  limits = {};
  limits.max_total_bytes = 10;
  EXPECT_EQ(ReadTar(TarBuilder().File("a", "12345").File("b", "12345").Finish(),
                    limits)
                .size(),
            2u);
  EXPECT_EQ(
      TarError(TarBuilder().File("a", "12345").File("b", "123456").Finish(),
               limits),
      "tar: more than 10 bytes of file data");
  limits = {};
  limits.max_xattr_bytes = 20;
  EXPECT_EQ(TarError(TarBuilder()
                         .Pax({{"SCHILY.xattr.user.aaaa", "1"},
                               {"SCHILY.xattr.user.bbbb", "22"}})
                         .File("f", "")
                         .Finish(),
                     limits),
            "tar: \"f\": more than 20 bytes of extended attributes");
}

// T15: sizes whose sum does not fit are refused, and holes count.
TEST(TarReader, HugeDeclaredSizesAreRefusedAtOnce) {
  for (const char* size : {"9223372036854775295", "17592186044417"}) {
    EXPECT_EQ(TarError(TarBuilder()
                           .File("first", "x")
                           .Pax({{"size", size}})
                           .File("huge", "")
                           .Finish()),
              "tar: more than 17592186044416 bytes of file data")
        << size;
  }
  std::string map = "1\n9000000000000000000\n0\n";
  map.resize(512, '\0');
  EXPECT_EQ(TarError(TarBuilder()
                         .Pax({{"GNU.sparse.major", "1"},
                               {"GNU.sparse.minor", "0"},
                               {"GNU.sparse.name", "sparse"},
                               {"GNU.sparse.realsize", "9000000000000000000"}})
                         .File("s", map)
                         .Finish()),
            "tar: more than 17592186044416 bytes of file data");
}

TEST(TarReader, IdsThatMeanSomethingElseAreRefused) {
  // (uid_t)-1 is "do not change" to chown.
  for (const char* id : {"4294967295", "4294967296", "-1"}) {
    EXPECT_THAT(
        TarError(TarBuilder().Pax({{"uid", id}}).File("f", "").Finish()),
        HasSubstr("is out of range"))
        << id;
  }
}

TEST(TarReader, OversizedPaxHeadersAreRefused) {
  EXPECT_THAT(TarError(TarBuilder()
                           .Pax({{"comment", std::string(2u << 20, 'c')}})
                           .File("f", "")
                           .Finish()),
              HasSubstr("tar: "));
}

TEST(TarReader, MalformedPaxHeadersAreRefused) {
  // Not dropped: a reader that ignores what another one reads sees a
  // different archive.
  const std::string body = "999 path=x\n";
  EXPECT_THAT(TarError(TarBuilder()
                           .Raw('x', "PaxHeader/x", "", body, body.size(), 0)
                           .File("f", "")
                           .Finish()),
              HasSubstr("tar: "));
}

TEST(TarReader, AnErrorOfTheInputComesThrough) {
  class Failing : public Reader {
   public:
    size_t Read(std::span<std::byte> buffer) override {
      if (left_-- == 0) throw Error(ErrorCode::kInterrupted, "interrupted");
      const std::string header = TarBuilder().File("f", "").bytes();
      std::memcpy(buffer.data(), header.data(), 512);
      return 512;
    }

   private:
    int left_ = 1;
  };
  Failing input;
  TarReader reader(input);
  try {
    while (reader.Next()) {
    }
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInterrupted);
  }
}

// A file is read where it lies, whatever headers stand before it.
TEST(TarReader, TellsWhereDataBegins) {
  const std::string long_name = std::string(200, 'n');
  const std::string tar = TarBuilder()
                              .Dir("d/")
                              .File("d/a", "first")
                              .File(long_name, std::string(3000, 'x'))
                              .File("empty", "")
                              .Symlink("l", "d/a")
                              .File("last", "end")
                              .Finish();
  StringReader input(tar);
  TarReader reader(input);
  std::string found;
  while (const auto entry = reader.Next()) {
    const auto offset = reader.DataOffset();
    EXPECT_EQ(offset.has_value(), entry->type == EntryType::kFile);
    if (offset) {
      found += entry->path.substr(0, 4) + "=" +
               tar.substr(*offset, std::min<uint64_t>(entry->size, 6)) + " ";
    }
  }
  EXPECT_EQ(found, "d/a=first nnnn=xxxxxx empt= last=end ");
}

}  // namespace
}  // namespace imgbuild::layer
