#include "imgbuild/layer/compress.h"

#include <libdeflate.h>
#include <zstd.h>

#include <deque>
#include <future>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/util/error.h"

namespace imgbuild::layer {
namespace {

constexpr size_t kPieceBytes = 1u << 20;

struct FreeEncoder {
  void operator()(libdeflate_compressor* encoder) const {
    libdeflate_free_compressor(encoder);
  }
  void operator()(ZSTD_CCtx* encoder) const { ZSTD_freeCCtx(encoder); }
};

using Piece = std::vector<std::byte>;

Piece GzipMember(const Piece& in, int level) {
  const std::unique_ptr<libdeflate_compressor, FreeEncoder> encoder(
      libdeflate_alloc_compressor(level));
  if (!encoder) throw std::bad_alloc();
  Piece out(libdeflate_gzip_compress_bound(encoder.get(), in.size()));
  const size_t n = libdeflate_gzip_compress(encoder.get(), in.data(), in.size(),
                                            out.data(), out.size());
  if (n == 0) throw Error(ErrorCode::kHost, "internal: gzip bound too small");
  out.resize(n);
  return out;
}

Piece ZstdFrame(const Piece& in, int level) {
  const std::unique_ptr<ZSTD_CCtx, FreeEncoder> encoder(ZSTD_createCCtx());
  if (!encoder) throw std::bad_alloc();
  for (const auto& [parameter, value] :
       {std::pair{ZSTD_c_compressionLevel, level},
        std::pair{ZSTD_c_contentSizeFlag, 0},
        std::pair{ZSTD_c_checksumFlag, 0}}) {
    ZSTD_CCtx_setParameter(encoder.get(), parameter, value);
  }
  Piece out(ZSTD_compressBound(in.size()));
  const size_t n = ZSTD_compress2(encoder.get(), out.data(), out.size(),
                                  in.data(), in.size());
  if (ZSTD_isError(n)) {
    throw Error(ErrorCode::kHost, std::string("zstd: ") + ZSTD_getErrorName(n));
  }
  out.resize(n);
  return out;
}

// Up to a whole piece; shorter at the end.
Piece ReadPiece(Reader& from) {
  Piece piece(kPieceBytes);
  size_t have = 0;
  while (have < piece.size()) {
    const size_t n = from.Read(std::span(piece).subspan(have));
    if (n == 0) break;
    have += n;
  }
  piece.resize(have);
  return piece;
}

int CheckedLevel(oci::Compression compression, std::optional<int> level) {
  const bool gzip = compression == oci::Compression::kGzip;
  if (!level) return gzip ? kGzipLevel : kZstdLevel;
  const int lowest = gzip ? 0 : 1;
  const int highest = gzip ? kMaxGzipLevel : kMaxZstdLevel;
  if (*level >= lowest && *level <= highest) return *level;
  throw Error(ErrorCode::kUsage, std::string(gzip ? "gzip" : "zstd") +
                                     " has no compression level " +
                                     std::to_string(*level))
      .WithHint(std::to_string(lowest) + " to " + std::to_string(highest));
}

}  // namespace

void Compress(Reader& plain, Writer& out, ThreadPool& pool,
              oci::Compression compression, std::optional<int> level) {
  if (compression == oci::Compression::kNone) {
    if (level) {
      throw Error(ErrorCode::kUsage, "a compression level needs a compression");
    }
    CopyAll(plain, out);
    return;
  }
  const int wanted = CheckedLevel(compression, level);
  std::deque<std::future<Piece>> in_flight;
  const auto write_oldest = [&] {
    out.Write(in_flight.front().get());
    in_flight.pop_front();
  };
  for (bool first = true;; first = false) {
    Piece piece = ReadPiece(plain);
    const bool last = piece.size() < kPieceBytes;
    if (!piece.empty() || first) {
      if (in_flight.size() > pool.size()) write_oldest();
      in_flight.push_back(
          pool.Submit([piece = std::move(piece), compression, wanted] {
            return compression == oci::Compression::kGzip
                       ? GzipMember(piece, wanted)
                       : ZstdFrame(piece, wanted);
          }));
    }
    if (last) break;
  }
  while (!in_flight.empty()) write_oldest();
}

}  // namespace imgbuild::layer
