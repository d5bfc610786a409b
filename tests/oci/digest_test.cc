#include "imgbuild/oci/digest.h"

#include <gtest/gtest.h>

#include <functional>
#include <unordered_set>

#include "imgbuild/oci/resumable_sha256.h"
#include "imgbuild/util/error.h"

namespace imgbuild::oci {
namespace {

// FIPS 180-4's examples.
constexpr char kAbc256[] =
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty256[] =
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc512[] =
    "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

Error ErrorOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e;
  }
  return Error(ErrorCode::kHost, "(no error)");
}

TEST(Digest, ParsesAndPrints) {
  const Digest digest = Digest::Parse(kAbc256);
  EXPECT_EQ(digest.algorithm(), DigestAlgorithm::kSha256);
  EXPECT_EQ(digest.hex(), std::string(kAbc256).substr(7));
  EXPECT_EQ(digest.Short(), "ba7816bf8f01");
  EXPECT_EQ(digest.ToString(), kAbc256);
  EXPECT_EQ(Digest::Parse(kAbc512).ToString(), kAbc512);
  EXPECT_EQ(Digest::Parse(kAbc512).algorithm(), DigestAlgorithm::kSha512);
}

TEST(Digest, RefusesByName) {
  const std::string a64(64, 'a');
  const struct {
    std::string text;
    std::string reason;
  } kCases[] = {
      {"", "not of the form sha256:…"},
      {"sha256", "not of the form sha256:…"},
      {":" + a64, "not of the form sha256:…"},
      {a64, "not of the form sha256:…"},
      {"md5:" + a64, "unsupported algorithm \"md5\""},
      {"SHA256:" + a64, "unsupported algorithm \"SHA256\""},
      {"sha256:", "0 hex digits instead of 64"},
      {"sha256:" + a64 + "a", "65 hex digits instead of 64"},
      {"sha512:" + a64, "64 hex digits instead of 128"},
      {"sha256:" + std::string(64, 'A'), "upper-case hex digits"},
      {"sha256:" + std::string(64, 'g'), "not a hex number"},
      {"sha256:" + a64 + "\n", "not a hex number"},
      {"sha256: " + a64, "not a hex number"},
      {"sha256:../../" + a64, "not a hex number"},
      {"sha256:sha256:" + a64, "not a hex number"},
  };
  for (const auto& c : kCases) {
    const Error error = ErrorOf([&] { Digest::Parse(c.text); });
    EXPECT_EQ(error.code(), ErrorCode::kUsage);
    EXPECT_TRUE(error.message().ends_with("\": " + c.reason))
        << error.message();
    EXPECT_EQ(Digest::TryParse(c.text), std::nullopt) << c.text;
  }
  EXPECT_EQ(ErrorOf([] { Digest::Parse("sha256:xyz"); }).message(),
            "invalid digest \"sha256:xyz\": not a hex number");
}

TEST(Digest, ComputesWhatFipsSays) {
  EXPECT_EQ(Digest::OfBytes("abc").ToString(), kAbc256);
  EXPECT_EQ(Digest::OfBytes("").ToString(), kEmpty256);
  EXPECT_EQ(Digest::OfBytes("abc", DigestAlgorithm::kSha512).ToString(),
            kAbc512);
  // The empty JSON object of image-spec.
  EXPECT_EQ(Digest::OfBytes("{}").ToString(),
            "sha256:"
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

TEST(Digest, FromRawChecksTheLength) {
  EXPECT_EQ(Digest::FromRaw(DigestAlgorithm::kSha256, std::string(32, '\xab'))
                .hex()
                .substr(0, 4),
            "abab");
  EXPECT_EQ(ErrorOf([] {
              Digest::FromRaw(DigestAlgorithm::kSha256, "short");
            }).message(),
            "internal: a raw digest of 5 bytes");
}

TEST(Digest, IsAKey) {
  const Digest a = Digest::OfBytes("a");
  const Digest b = Digest::OfBytes("b");
  EXPECT_NE(a, b);
  EXPECT_EQ(a, Digest::Parse(a.ToString()));
  EXPECT_EQ((std::unordered_set<Digest>{a, b, a}).size(), 2u);
}

TEST(Digest, ChainFollowsImageSpec) {
  EXPECT_EQ(ChainOf({}), std::nullopt);
  const DiffId a(Digest::OfBytes("a"));
  const DiffId b(Digest::OfBytes("b"));
  const DiffId c(Digest::OfBytes("c"));
  EXPECT_EQ(ChainOf({a})->ToString(), a.ToString());
  const Digest ab = Digest::OfBytes(a.ToString() + " " + b.ToString());
  EXPECT_EQ(ChainOf({a, b})->digest(), ab);
  EXPECT_EQ(ChainOf({a, b, c})->digest(),
            Digest::OfBytes(ab.ToString() + " " + c.ToString()));
  // image-spec's property: order counts.
  EXPECT_NE(ChainOf({a, b}), ChainOf({b, a}));
}

TEST(Hasher, GivesTheDigestOfAllPieces) {
  Hasher hasher;
  hasher.Update("a");
  hasher.Update("");
  Hasher moved = std::move(hasher);
  moved.Update("bc");
  EXPECT_EQ(moved.size(), 3u);
  EXPECT_EQ(moved.Finish().ToString(), kAbc256);
  EXPECT_EQ(ErrorOf([&] { moved.Finish(); }).message(),
            "internal: hasher is finished");
  EXPECT_EQ(ErrorOf([&] { moved.Update("x"); }).message(),
            "internal: hasher is finished");
  Hasher long_hasher(DigestAlgorithm::kSha512);
  long_hasher.Update("abc");
  EXPECT_EQ(long_hasher.Finish().ToString(), kAbc512);
}

struct Verified {
  StringWriter out;
  VerifyingWriter writer;
  explicit Verified(std::optional<uint64_t> size,
                    const Digest& expected = Digest::Parse(kAbc256))
      : writer(out, expected, size, "layer") {}
};

TEST(VerifyingWriter, PassesGoodBytes) {
  for (const auto size :
       {std::optional<uint64_t>(3), std::optional<uint64_t>()}) {
    Verified v(size);
    v.writer.Write(AsBytes("a"));
    v.writer.Write(AsBytes(""));
    v.writer.Write(AsBytes("bc"));
    v.writer.Finish();
    EXPECT_EQ(v.out.text(), "abc");
    EXPECT_EQ(v.writer.written(), 3u);
  }
  Verified sha512(3, Digest::Parse(kAbc512));
  sha512.writer.Write(AsBytes("abc"));
  sha512.writer.Finish();
  Verified empty(0, Digest::Parse(kEmpty256));
  empty.writer.Finish();
}

TEST(VerifyingWriter, RefusesTooManyBytesAtOnce) {
  Verified v(3);
  v.writer.Write(AsBytes("ab"));
  const Error error = ErrorOf([&] { v.writer.Write(AsBytes("cd")); });
  EXPECT_EQ(error.code(), ErrorCode::kRegistry);
  EXPECT_EQ(error.message(), "layer " + std::string(kAbc256) +
                                 ": longer than the 3 bytes announced");
  EXPECT_EQ(v.out.text(), "ab");  // nothing of the excess was passed on
}

TEST(VerifyingWriter, RefusesTooFewBytes) {
  Verified v(3);
  v.writer.Write(AsBytes("ab"));
  const Error error = ErrorOf([&] { v.writer.Finish(); });
  EXPECT_EQ(error.code(), ErrorCode::kRegistry);
  EXPECT_EQ(error.message(),
            "layer " + std::string(kAbc256) + ": got 2 bytes instead of 3");
}

TEST(VerifyingWriter, RefusesOtherBytes) {
  for (const auto size :
       {std::optional<uint64_t>(3), std::optional<uint64_t>()}) {
    Verified v(size);
    v.writer.Write(AsBytes("abd"));
    const Error error = ErrorOf([&] { v.writer.Finish(); });
    EXPECT_EQ(error.code(), ErrorCode::kRegistry);
    EXPECT_EQ(error.message(), "layer: digest mismatch: expected " +
                                   std::string(kAbc256) + ", got " +
                                   Digest::OfBytes("abd").ToString());
  }
}

TEST(ResumableSha256, GoesOnFromAState) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += std::to_string(i * 7919);
  for (const size_t cut : {size_t{0}, size_t{64}, size_t{512}, size_t{6400}}) {
    ResumableSha256 first;
    first.Write(AsBytes(text.substr(0, cut)));
    const std::string state = first.State();
    ASSERT_EQ(state.size(), ResumableSha256::kStateBytes);
    ResumableSha256 second;
    second.Write(AsBytes("something else"));
    second.Resume(state, cut);
    EXPECT_EQ(second.size(), cut);
    second.Write(AsBytes(text.substr(cut)));
    EXPECT_EQ(second.Finish(), Digest::OfBytes(text)) << cut;
    EXPECT_EQ(first.Finish(), Digest::OfBytes(text.substr(0, cut)));
  }
  ResumableSha256 odd;
  odd.Write(AsBytes("x"));
  EXPECT_EQ(odd.State(), "");
}

// The number of bits needs both words of the counter.
TEST(ResumableSha256, CountsBeyondFourGigabits) {
  const std::string block(1 << 20, 'x');
  ResumableSha256 whole;
  Hasher expected;
  for (int i = 0; i < 520; ++i) {
    whole.Write(AsBytes(block));
    expected.Write(AsBytes(block));
  }
  ResumableSha256 half;
  half.Resume(whole.State(), whole.size());
  EXPECT_EQ(half.Finish(), expected.Finish());
}

}  // namespace
}  // namespace imgbuild::oci
