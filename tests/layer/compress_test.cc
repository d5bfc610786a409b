#include "imgbuild/layer/compress.h"

#include <gtest/gtest.h>

#include <string>

#include "imgbuild/layer/codec.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/error.h"

namespace imgbuild::layer {
namespace {

using oci::Compression;

// Three members and a bit, neither random nor regular.
std::string Sample(size_t size = (3u << 20) + 12345) {
  std::string out;
  out.reserve(size);
  uint32_t x = 1;
  while (out.size() < size) {
    x = x * 1664525 + 1013904223;
    out += static_cast<char>('a' + (x >> 28));
  }
  return out;
}

std::string Compressed(const std::string& plain, Compression compression,
                       std::optional<int> level = std::nullopt,
                       unsigned threads = 2) {
  ThreadPool pool(threads);
  StringReader in(plain);
  StringWriter out;
  Compress(in, out, pool, compression, level);
  return out.Take();
}

std::string Plain(const std::string& packed, Compression compression) {
  StringReader in(packed);
  const auto reader = Decompress(in, compression);
  return ReadAll(*reader, 64u << 20, "test");
}

TEST(Compress, ReadsBackAsItWas) {
  for (const Compression compression :
       {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    for (const size_t size : {size_t{0}, size_t{1}, size_t{1} << 20,
                              (size_t{1} << 20) + 1, size_t{3} << 20}) {
      const std::string plain = Sample(size).substr(0, size);
      EXPECT_EQ(Plain(Compressed(plain, compression), compression), plain)
          << size;
    }
  }
}

// The bytes are what the digest of a pushed image stands for: whoever changes
// them changes everybody's digests.
TEST(Compress, TheBytesArePinned) {
  const std::string plain = Sample();
  const struct {
    Compression compression;
    std::optional<int> level;
    const char* digest;
  } cases[] = {
      {Compression::kGzip, std::nullopt, "1138caf51ee0"},
      {Compression::kGzip, 9, "5e201bc64d74"},
      {Compression::kZstd, std::nullopt, "fae4ff830b0e"},
      {Compression::kZstd, 9, "28d10bc1877e"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(
        oci::Digest::OfBytes(Compressed(plain, c.compression, c.level)).Short(),
        c.digest);
  }
}

TEST(Compress, ThreadsDoNotShow) {
  const std::string plain = Sample();
  EXPECT_EQ(Compressed(plain, Compression::kGzip, std::nullopt, 1),
            Compressed(plain, Compression::kGzip, std::nullopt, 5));
}

TEST(Compress, LevelsThatThereAreNot) {
  for (const auto& [compression, level] :
       {std::pair{Compression::kGzip, 13}, std::pair{Compression::kGzip, -1},
        std::pair{Compression::kZstd, 0}, std::pair{Compression::kZstd, 23},
        std::pair{Compression::kNone, 1}}) {
    try {
      Compressed("x", compression, level);
      ADD_FAILURE() << level;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUsage);
    }
  }
}

TEST(Compress, AReaderThatFailsIsTheCallersError) {
  class Broken : public Reader {
    size_t Read(std::span<std::byte>) override {
      throw Error(ErrorCode::kHost, "broken");
    }
  };
  ThreadPool pool(2);
  Broken in;
  StringWriter out;
  EXPECT_THROW(Compress(in, out, pool, Compression::kGzip), Error);
}

}  // namespace
}  // namespace imgbuild::layer
