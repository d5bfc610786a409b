#include "layer/gzip_reader.h"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"

namespace imgbuild::layer {
namespace {

constexpr size_t kInputBytes = 128u << 10;
// ISA-L holds up to eight bytes in a register and hands back what it did not
// use by moving next_in backwards. The tail of the previous chunk is kept in
// front of the current one, so that this never leaves the buffer.
constexpr size_t kSlack = 16;

Error Corrupt(const std::string& what) {
  return Error(ErrorCode::kRegistry, "gzip: " + what);
}

std::string DescribeIsal(int code) {
  switch (code) {
    case ISAL_INVALID_BLOCK:
    case ISAL_INVALID_SYMBOL:
    case ISAL_INVALID_LOOKBACK:
      return "the compressed data is corrupt";
    case ISAL_INVALID_WRAPPER:
      return "not a gzip header";
    case ISAL_UNSUPPORTED_METHOD:
      return "unsupported compression method";
    case ISAL_INCORRECT_CHECKSUM:
      return "checksum mismatch";
    default:
      return "cannot be decompressed (" + std::to_string(code) + ")";
  }
}

class GzipReader : public Reader {
 public:
  explicit GzipReader(Reader& input)
      : input_(input), buffer_(kSlack + kInputBytes) {
    state_.next_in = ChunkBegin();
    StartMember();
  }

  size_t Read(std::span<std::byte> out) override {
    if (out.empty()) return 0;
    while (!done_) {
      if (between_members_ && !NextMember()) break;
      if (const size_t made = Inflate(out); made > 0) return made;
    }
    return 0;
  }

 private:
  uint8_t* ChunkBegin() { return buffer_.data() + kSlack; }

  void StartMember() {
    uint8_t* const next_in = state_.next_in;
    const uint32_t avail_in = state_.avail_in;
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
    state_.next_in = next_in;
    state_.avail_in = avail_in;
    between_members_ = false;
  }

  // Appends nothing: the chunk is replaced once it is used up.
  bool Refill() {
    if (input_ended_) return false;
    // The last bytes seen, which may lie in the slack themselves.
    std::memmove(buffer_.data(), state_.next_in - kSlack, kSlack);
    const size_t n = input_.Read(
        std::as_writable_bytes(std::span(ChunkBegin(), kInputBytes)));
    state_.next_in = ChunkBegin();
    state_.avail_in = static_cast<uint32_t>(n);
    input_ended_ = n == 0;
    return n > 0;
  }

  // Looks past the end of a member: another one, padding, or the end.
  bool NextMember() {
    if (state_.avail_in == 0 && !Refill()) {
      done_ = true;
      return false;
    }
    if (*state_.next_in != 0) {
      if (*state_.next_in != 0x1f) throw Corrupt("trailing garbage");
      StartMember();
      return true;
    }
    do {
      const uint8_t* const end = state_.next_in + state_.avail_in;
      if (std::any_of(static_cast<const uint8_t*>(state_.next_in), end,
                      [](uint8_t byte) { return byte != 0; })) {
        throw Corrupt("trailing garbage");
      }
      state_.next_in += state_.avail_in;
      state_.avail_in = 0;
    } while (Refill());
    done_ = true;
    return false;
  }

  size_t Inflate(std::span<std::byte> out) {
    if (state_.avail_in == 0) Refill();
    const auto want = static_cast<uint32_t>(
        std::min<size_t>(out.size(), std::numeric_limits<int32_t>::max()));
    state_.next_out = reinterpret_cast<uint8_t*>(out.data());
    state_.avail_out = want;
    const uint8_t* const before_in = state_.next_in;
    const int32_t before_bits = state_.read_in_length;
    const isal_block_state before_state = state_.block_state;
    const int code = isal_inflate(&state_);
    if (code < 0) throw Corrupt(DescribeIsal(code));
    const size_t made = want - state_.avail_out;
    if (state_.block_state == ISAL_BLOCK_FINISH) {
      between_members_ = true;
      return made;
    }
    const bool moved = made > 0 || state_.next_in != before_in ||
                       state_.read_in_length != before_bits ||
                       state_.block_state != before_state;
    if (!moved) {
      throw Corrupt(input_ended_ ? "the stream is truncated"
                                 : "the compressed data is corrupt");
    }
    return made;
  }

  Reader& input_;
  std::vector<uint8_t> buffer_;
  inflate_state state_{};
  bool between_members_ = false;
  bool input_ended_ = false;
  bool done_ = false;
};

}  // namespace

std::unique_ptr<Reader> MakeGzipReader(Reader& input) {
  return std::make_unique<GzipReader>(input);
}

}  // namespace imgbuild::layer
