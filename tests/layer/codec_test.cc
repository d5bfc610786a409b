#include "imgbuild/layer/codec.h"

#include <archive.h>
#include <archive_entry.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"

#include "layer/layer_test_util.h"

namespace imgbuild::layer {
namespace {

using ::testing::HasSubstr;

std::string GzipMember(const std::string& data) {
  libdeflate_compressor* const encoder = libdeflate_alloc_compressor(6);
  std::string out(libdeflate_gzip_compress_bound(encoder, data.size()), '\0');
  out.resize(libdeflate_gzip_compress(encoder, data.data(), data.size(),
                                      out.data(), out.size()));
  libdeflate_free_compressor(encoder);
  return out;
}

std::string ZstdFrame(const std::string& data) {
  std::string out(ZSTD_compressBound(data.size()), '\0');
  out.resize(
      ZSTD_compress(out.data(), out.size(), data.data(), data.size(), 3));
  return out;
}

// xz or bzip2 by libarchive's writer.
std::string FilterCompress(const std::string& data, ArchiveFormat format) {
  struct archive* const writer = archive_write_new();
  archive_write_set_format_raw(writer);
  if (format == ArchiveFormat::kXz) {
    archive_write_add_filter_xz(writer);
  } else {
    archive_write_add_filter_bzip2(writer);
  }
  std::string out(data.size() + (1u << 20), '\0');
  size_t used = 0;
  archive_write_set_bytes_in_last_block(writer, 1);
  archive_write_open_memory(writer, out.data(), out.size(), &used);
  struct archive_entry* const entry = archive_entry_new();
  archive_entry_set_pathname(entry, "data");
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_write_header(writer, entry);
  archive_write_data(writer, data.data(), data.size());
  archive_entry_free(entry);
  archive_write_close(writer);
  archive_write_free(writer);
  out.resize(used);
  return out;
}

// Hands out a text in pieces of random size, as a network does.
class ChunkReader : public Reader {
 public:
  ChunkReader(std::string text, size_t largest, uint32_t seed)
      : text_(std::move(text)), largest_(largest), random_(seed) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n = std::min({buffer.size(), text_.size() - offset_,
                               size_t{1} + random_() % largest_});
    std::copy_n(AsBytes(text_).begin() + static_cast<ptrdiff_t>(offset_), n,
                buffer.begin());
    offset_ += n;
    return n;
  }

 private:
  std::string text_;
  size_t largest_;
  std::mt19937 random_;
  size_t offset_ = 0;
};

// The same bytes over and over, for ever.
class EndlessReader : public Reader {
 public:
  EndlessReader(std::string start, std::string repeat)
      : start_(std::move(start)), repeat_(std::move(repeat)) {}
  size_t Read(std::span<std::byte> buffer) override {
    std::string* const from = start_.empty() ? &current_ : &start_;
    if (from->empty()) *from = repeat_;
    const size_t n = std::min(buffer.size(), from->size());
    std::copy_n(AsBytes(*from).begin(), n, buffer.begin());
    from->erase(0, n);
    return n;
  }

 private:
  std::string start_;
  std::string current_;
  std::string repeat_;
};

std::string Inflate(const std::string& compressed,
                    oci::Compression compression) {
  StringReader input(compressed);
  const auto reader = Decompress(input, compression);
  return ReadAll(*reader, 1u << 30, "test");
}

std::string InflateError(const std::string& compressed,
                         oci::Compression compression) {
  try {
    Inflate(compressed, compression);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
    return error.message();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

std::string Words(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < bytes) {
    text += "word" + std::to_string(random() % 5000) + " ";
  }
  text.resize(bytes);
  return text;
}

constexpr auto kGzip = oci::Compression::kGzip;
constexpr auto kZstd = oci::Compression::kZstd;

TEST(Codec, PassesPlainThrough) {
  EXPECT_EQ(Inflate("as it is", oci::Compression::kNone), "as it is");
}

TEST(Codec, InflatesOneMember) {
  const std::string data = Words(3'000'000, 1);
  EXPECT_EQ(Inflate(GzipMember(data), kGzip), data);
  EXPECT_EQ(Inflate(ZstdFrame(data), kZstd), data);
}

TEST(Codec, InflatesAnEmptyMember) {
  EXPECT_EQ(Inflate(GzipMember(""), kGzip), "");
  EXPECT_EQ(Inflate(ZstdFrame(""), kZstd), "");
}

TEST(Codec, InflatesManyMembersInPiecesOfAnySize) {
  std::mt19937 random(7);
  for (uint32_t round = 0; round < 60; ++round) {
    std::string data;
    std::string gzip;
    std::string zstd;
    for (int member = 0; member < 30; ++member) {
      const std::string part = Words(random() % 4000, random());
      data += part;
      gzip += GzipMember(part);
      zstd += ZstdFrame(part);
    }
    const size_t largest = round % 3 == 0 ? 1 : round % 3 == 1 ? 30 : 5000;
    ChunkReader gzip_input(gzip, largest, round);
    ChunkReader zstd_input(zstd, largest, round);
    ASSERT_EQ(ReadAll(*Decompress(gzip_input, kGzip), 1u << 30, "t"), data);
    ASSERT_EQ(ReadAll(*Decompress(zstd_input, kZstd), 1u << 30, "t"), data);
  }
}

TEST(Codec, FillsBuffersOfAnySize) {
  const std::string data = Words(50'000, 3);
  StringReader input(GzipMember(data.substr(0, 20'000)) +
                     GzipMember(data.substr(20'000)));
  const auto reader = Decompress(input, kGzip);
  std::string out;
  std::byte small[7];
  while (const size_t n = reader->Read(small)) out += AsText({small, n});
  EXPECT_EQ(out, data);
}

TEST(Codec, ReadsGzipHeadersWithAllFields) {
  // FEXTRA, FNAME and FCOMMENT before the deflate data.
  std::string member = GzipMember("hello");
  member[3] = 0x04 | 0x08 | 0x10;
  member.insert(10, std::string("\x03\0abc", 5) + std::string("name\0", 5) +
                        std::string("comment\0", 8));
  EXPECT_EQ(Inflate(member, kGzip), "hello");
}

TEST(Codec, SkipsSkippableZstdFrames) {
  const std::string skippable("\x53\x2a\x4d\x18\x03\0\0\0abc", 11);
  EXPECT_EQ(Inflate(skippable + ZstdFrame("a") + skippable + ZstdFrame("b") +
                        skippable,
                    kZstd),
            "ab");
}

TEST(Codec, TruncationAnywhereIsAnError) {
  const std::string data = Words(4000, 5);
  for (const auto compression : {kGzip, kZstd}) {
    const std::string whole =
        compression == kGzip ? GzipMember(data) : ZstdFrame(data);
    for (size_t size = 0; size < whole.size(); ++size) {
      EXPECT_THAT(InflateError(whole.substr(0, size), compression),
                  HasSubstr("the stream is truncated"))
          << size;
    }
    // In the second member, too.
    EXPECT_THAT(InflateError(whole + whole.substr(0, 9), compression),
                HasSubstr("the stream is truncated"));
  }
}

TEST(Codec, GzipTrailerIsChecked) {
  const std::string whole = GzipMember(Words(4000, 6));
  for (size_t from_end = 1; from_end <= 8; ++from_end) {
    std::string bad = whole;
    bad[bad.size() - from_end] = static_cast<char>(~bad[bad.size() - from_end]);
    EXPECT_EQ(InflateError(bad, kGzip), "gzip: checksum mismatch") << from_end;
  }
}

TEST(Codec, FlippedBitsNeverPassForGoodData) {
  const std::string data = Words(4000, 8);
  const std::string whole = GzipMember(data);
  // The last byte of the deflate data has bits that mean nothing.
  const size_t spare = whole.size() - 9;
  for (size_t i = 10; i < whole.size(); ++i) {
    for (const int bit : {0, 3, 7}) {
      std::string bad = whole;
      bad[i] = static_cast<char>(bad[i] ^ (1 << bit));
      try {
        EXPECT_EQ(Inflate(bad, kGzip), data) << i;
        EXPECT_EQ(i, spare) << "bit " << bit;
      } catch (const Error&) {
      }
    }
  }
}

TEST(Codec, ZeroPaddingAfterGzipIsFineGarbageIsNot) {
  const std::string member = GzipMember("x");
  EXPECT_EQ(Inflate(member + std::string(100'000, '\0'), kGzip), "x");
  EXPECT_EQ(InflateError(member + "garbage", kGzip), "gzip: trailing garbage");
  EXPECT_EQ(InflateError(member + std::string(100'000, '\0') + "x", kGzip),
            "gzip: trailing garbage");
  EXPECT_EQ(InflateError(member + std::string(2, '\0') + member, kGzip),
            "gzip: trailing garbage");
  EXPECT_EQ(InflateError(member + "\x1fgarbage, not a header", kGzip),
            "gzip: not a gzip header");
  EXPECT_THAT(InflateError(ZstdFrame("x") + "garbage", kZstd),
              HasSubstr("zstd: Unknown frame descriptor"));
}

TEST(Codec, SomethingElseIsAnError) {
  EXPECT_EQ(InflateError("this is not gzip at all", kGzip),
            "gzip: not a gzip header");
  EXPECT_EQ(InflateError("this is not zstd at all", kZstd),
            "zstd: Unknown frame descriptor");
  EXPECT_EQ(InflateError("", kGzip), "gzip: the stream is truncated");
  EXPECT_EQ(InflateError("", kZstd), "zstd: the stream is truncated");
}

TEST(Codec, HugeZstdWindowIsRefused) {
  // A frame header that asks for a window of 2 GiB.
  const std::string header("\x28\xb5\x2f\xfd\x00\xa8", 6);
  EXPECT_THAT(InflateError(header + std::string(64, '\0'), kZstd),
              HasSubstr("Frame requires too much memory"));
}

// T13, T14: streams that never end are read with a limit, and stop there.
TEST(Codec, EndlessStreamsStopAtTheCallersLimit) {
  const std::string zeros(1u << 20, '\0');
  EndlessReader gzip_input("", GzipMember(zeros));
  EXPECT_THROW(ReadAll(*Decompress(gzip_input, kGzip), 1u << 28, "bomb"),
               Error);
  EndlessReader zstd_input("", ZstdFrame(zeros));
  EXPECT_THROW(ReadAll(*Decompress(zstd_input, kZstd), 1u << 28, "bomb"),
               Error);
}

TEST(Codec, SniffsByMagic) {
  EXPECT_EQ(SniffCompression(GzipMember("x")), ArchiveFormat::kGzip);
  EXPECT_EQ(SniffCompression(ZstdFrame("x")), ArchiveFormat::kZstd);
  EXPECT_EQ(SniffCompression(std::string("\x5f\x2a\x4d\x18", 4)),
            ArchiveFormat::kZstd);
  EXPECT_EQ(SniffCompression(FilterCompress("x", ArchiveFormat::kXz)),
            ArchiveFormat::kXz);
  EXPECT_EQ(SniffCompression(FilterCompress("x", ArchiveFormat::kBzip2)),
            ArchiveFormat::kBzip2);
  EXPECT_EQ(SniffCompression(TarBuilder().File("a", "b").Finish()),
            ArchiveFormat::kPlain);
  EXPECT_EQ(SniffCompression(""), ArchiveFormat::kPlain);
  EXPECT_EQ(SniffCompression("\x1f"), ArchiveFormat::kPlain);
}

TEST(Codec, DecompressAnyReadsXzAndBzip2) {
  const std::string data = Words(300'000, 9);
  for (const auto format : {ArchiveFormat::kXz, ArchiveFormat::kBzip2}) {
    const std::string packed = FilterCompress(data, format);
    ChunkReader input(packed, 3000, 1);
    EXPECT_EQ(ReadAll(*DecompressAny(input, format), 1u << 30, "t"), data);
    // Truncated and damaged: an error, not a hang (T13).
    StringReader half(packed.substr(0, packed.size() / 2));
    EXPECT_THROW(ReadAll(*DecompressAny(half, format), 1u << 30, "t"), Error);
    std::string bad = packed;
    bad[bad.size() / 2] = static_cast<char>(~bad[bad.size() / 2]);
    StringReader damaged(bad);
    EXPECT_THROW(ReadAll(*DecompressAny(damaged, format), 1u << 30, "t"),
                 Error);
    StringReader wrong("neither of the two formats, surely");
    EXPECT_THROW(ReadAll(*DecompressAny(wrong, format), 1u << 30, "t"), Error);
  }
}

TEST(Codec, AnErrorOfTheInputComesThrough) {
  class Failing : public Reader {
    size_t Read(std::span<std::byte>) override {
      throw Error(ErrorCode::kInterrupted, "interrupted");
    }
  };
  for (const auto format :
       {ArchiveFormat::kPlain, ArchiveFormat::kGzip, ArchiveFormat::kZstd,
        ArchiveFormat::kXz, ArchiveFormat::kBzip2}) {
    Failing input;
    try {
      ReadAll(*DecompressAny(input, format), 100, "t");
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "interrupted");
    }
  }
}

TEST(Codec, LooksLikeTarChecksTheHeader) {
  std::string tar = TarBuilder().File("name", "data").Finish();
  EXPECT_TRUE(LooksLikeTar(tar));
  EXPECT_FALSE(LooksLikeTar(tar.substr(0, 511)));
  tar[0] = 'm';
  EXPECT_FALSE(LooksLikeTar(tar));
  EXPECT_FALSE(LooksLikeTar(std::string(1024, '\0')));
  EXPECT_FALSE(LooksLikeTar(Words(1024, 1)));
  // Non-ASCII names: both ways of summing are in use.
  EXPECT_TRUE(LooksLikeTar(TarBuilder().File("\xc3\xa4", "").Finish()));
}

}  // namespace
}  // namespace imgbuild::layer
