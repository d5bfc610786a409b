#include "imgbuild/util/read_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "imgbuild/util/error.h"

namespace imgbuild {
namespace {

std::string Text(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text += static_cast<char>(i * 31 + i / 7);
  return text;
}

// Hands out pieces of all lengths, then ends or throws.
class Pieces : public Reader {
 public:
  explicit Pieces(std::string text, bool fails = false)
      : text_(std::move(text)), fails_(fails) {}
  size_t Read(std::span<std::byte> buffer) override {
    const size_t n =
        std::min({buffer.size(), 1 + at_ % 977, text_.size() - at_});
    if (n == 0 && fails_) throw Error(ErrorCode::kRegistry, "it broke");
    std::ranges::copy(AsBytes(text_).subspan(at_, n), buffer.begin());
    at_ += n;
    return n;
  }
  size_t taken() const { return at_; }

 private:
  std::string text_;
  bool fails_;
  size_t at_ = 0;
};

TEST(ReadAhead, PassesEveryByteInOrder) {
  const std::string text = Text(100'000);
  for (const size_t chunk : {0ul, 1ul, 7ul, 4096ul, 1'000'000ul}) {
    const std::string part = text.substr(0, chunk < 8 ? 5000 : text.size());
    Pieces input(part);
    ReadAhead ahead(input, chunk, 3);
    EXPECT_EQ(ReadAll(ahead, part.size(), "it"), part) << chunk;
    std::byte more[1];
    EXPECT_EQ(ahead.Read(more), 0u);
  }
}

TEST(ReadAhead, AnErrorComesAfterTheBytesBeforeIt) {
  const std::string text = Text(5000);
  Pieces input(text, /*fails=*/true);
  ReadAhead ahead(input, 1000, 2);
  std::string got(text.size(), '\0');
  for (size_t at = 0; at < got.size();) {
    at += ahead.Read(std::as_writable_bytes(std::span(got)).subspan(at));
  }
  EXPECT_EQ(got, text);
  std::byte more[1];
  for (int i = 0; i < 2; ++i) {
    try {
      ahead.Read(more);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.message(), "it broke");
    }
  }
}

TEST(ReadAhead, StaysWithinItsChunks) {
  Pieces input(Text(100'000));
  ReadAhead ahead(input, 1000, 3);
  std::byte one[1];
  ASSERT_EQ(ahead.Read(one), 1u);
  ahead.Join();
  EXPECT_LE(input.taken(), 3000u);
}

TEST(ReadAhead, NobodyNeedsToReadToTheEnd) {
  Pieces input(Text(100'000));
  { const ReadAhead ahead(input, 10, 2); }
  { const ReadAhead ahead(input, 1'000'000, 2); }
}

TEST(ReadAhead, AfterJoinTheInputIsTheCallersAgain) {
  const std::string text = Text(3000);
  Pieces input(text);
  ReadAhead ahead(input, 100, 2);
  EXPECT_EQ(ReadAll(ahead, text.size(), "it"), text);
  ahead.Join();
  std::byte more[1];
  EXPECT_EQ(input.Read(more), 0u);
}

}  // namespace
}  // namespace imgbuild
