#include "layer/zstd_reader.h"

#include <zstd.h>

#include <new>
#include <string>
#include <vector>

#include "imgbuild/util/error.h"

namespace imgbuild::layer {
namespace {

constexpr int kMaxWindowLog = 27;

Error Corrupt(const std::string& what) {
  return Error(ErrorCode::kRegistry, "zstd: " + what);
}

struct FreeStream {
  void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
};

class ZstdReader : public Reader {
 public:
  explicit ZstdReader(Reader& input)
      : input_(input), stream_(ZSTD_createDStream()), buffer_(128u << 10) {
    if (!stream_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(stream_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  size_t Read(std::span<std::byte> out) override {
    if (out.empty()) return 0;
    while (true) {
      const bool starved = in_.pos == in_.size && !Refill();
      ZSTD_outBuffer target{out.data(), out.size(), 0};
      const size_t in_before = in_.pos;
      const bool was_complete = frame_complete_;
      if (starved && was_complete) return 0;
      const size_t hint = ZSTD_decompressStream(stream_.get(), &target, &in_);
      if (ZSTD_isError(hint)) throw Corrupt(ZSTD_getErrorName(hint));
      frame_complete_ = hint == 0;
      if (target.pos > 0) return target.pos;
      if (in_.pos != in_before || frame_complete_) continue;
      throw Corrupt(starved ? "the stream is truncated"
                            : "the compressed data is corrupt");
    }
  }

 private:
  bool Refill() {
    if (input_ended_) return false;
    const size_t n = input_.Read(buffer_);
    in_ = {buffer_.data(), n, 0};
    input_ended_ = n == 0;
    return n > 0;
  }

  Reader& input_;
  std::unique_ptr<ZSTD_DStream, FreeStream> stream_;
  std::vector<std::byte> buffer_;
  ZSTD_inBuffer in_{nullptr, 0, 0};
  // An empty stream is zero frames, but a layer that says it is zstd and has
  // no bytes at all is a truncated one.
  bool frame_complete_ = false;
  bool input_ended_ = false;
};

}  // namespace

std::unique_ptr<Reader> MakeZstdReader(Reader& input) {
  return std::make_unique<ZstdReader>(input);
}

}  // namespace imgbuild::layer
