#include "layer/member_pipeline.h"

#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/oci/digest.h"
#include "imgbuild/util/error.h"

namespace imgbuild::layer {

std::string EncoderVersion() {
  return std::string("libdeflate ") + LIBDEFLATE_VERSION_STRING;
}

namespace {

constexpr size_t kInitialCapacity = 256u << 10;
// Most members are smaller; if each buffer kept what its largest one took, all
// would end up at the largest.
constexpr size_t kKeptCapacity = 3u << 20;

struct FreeEncoder {
  void operator()(libdeflate_compressor* encoder) const {
    libdeflate_free_compressor(encoder);
  }
  void operator()(ZSTD_CCtx* encoder) const { ZSTD_freeCCtx(encoder); }
};

void CompressGzip(Bytes in, ByteBuffer* out) {
  const std::unique_ptr<libdeflate_compressor, FreeEncoder> encoder(
      libdeflate_alloc_compressor(kGzipLevel));
  if (!encoder) throw std::bad_alloc();
  out->Truncate(0);
  const auto room =
      out->Extend(libdeflate_gzip_compress_bound(encoder.get(), in.size()));
  const size_t n = libdeflate_gzip_compress(encoder.get(), in.data(), in.size(),
                                            room.data(), room.size());
  if (n == 0) throw Error(ErrorCode::kHost, "internal: gzip bound too small");
  out->Truncate(n);
}

void CompressZstd(Bytes in, ByteBuffer* out) {
  const std::unique_ptr<ZSTD_CCtx, FreeEncoder> encoder(ZSTD_createCCtx());
  if (!encoder) throw std::bad_alloc();
  for (const auto& [parameter, value] :
       {std::pair{ZSTD_c_compressionLevel, kZstdLevel},
        std::pair{ZSTD_c_contentSizeFlag, 0},
        std::pair{ZSTD_c_checksumFlag, 0}}) {
    ZSTD_CCtx_setParameter(encoder.get(), parameter, value);
  }
  out->Truncate(0);
  const auto room = out->Extend(ZSTD_compressBound(in.size()));
  const size_t n = ZSTD_compress2(encoder.get(), room.data(), room.size(),
                                  in.data(), in.size());
  if (ZSTD_isError(n)) {
    throw Error(ErrorCode::kHost, std::string("zstd: ") + ZSTD_getErrorName(n));
  }
  out->Truncate(n);
}

}  // namespace

std::span<std::byte> ByteBuffer::Extend(size_t count) {
  const size_t wanted = size_ + count;
  if (wanted > capacity_) {
    const size_t capacity = std::max({wanted, 2 * capacity_, kInitialCapacity});
    auto bigger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (size_ > 0) std::memcpy(bigger.get(), data_.get(), size_);
    data_ = std::move(bigger);
    capacity_ = capacity;
  }
  const std::span<std::byte> room(data_.get() + size_, count);
  size_ = wanted;
  return room;
}

void ByteBuffer::Recycle() {
  size_ = 0;
  if (capacity_ <= kKeptCapacity) return;
  data_.reset();
  capacity_ = 0;
}

// One piece on its way. Whoever sets `claimed` compresses it; `done` publishes
// the result (or the error) to the owner.
struct MemberPipeline::Member {
  ByteBuffer raw;
  ByteBuffer packed;
  MemberRecord record;
  std::exception_ptr error;
  std::atomic<bool> claimed{false};
  std::atomic<bool> done{false};

  // False when somebody else has it.
  bool TryCompress(const Options& options) {
    if (claimed.exchange(true)) return false;
    try {
      if (options.keep_records || options.previous) {
        record.tar_sha256 = oci::Digest::OfBytes(AsText(raw.bytes())).hex();
        record.tar_size = raw.size();
      }
      if (!TryTake(options)) Compress(options.compression);
      if (options.keep_records) {
        record.size = packed.size();
        record.crc32 =
            libdeflate_crc32(0, packed.bytes().data(), packed.size());
      }
    } catch (...) {
      error = std::current_exception();
    }
    done.store(true, std::memory_order_release);
    done.notify_one();
    return true;
  }

 private:
  // From the earlier blob, where the same bytes were compressed before.
  bool TryTake(const Options& options) {
    if (!options.previous) return false;
    const MemberRecord* const found =
        options.previous->Find(record.tar_sha256, record.tar_size);
    if (found == nullptr) return false;
    packed.Truncate(0);
    const auto room = packed.Extend(found->size);
    return options.previous->Read(*found, room.data());
  }

  void Compress(oci::Compression compression) {
    if (compression == oci::Compression::kGzip) {
      CompressGzip(raw.bytes(), &packed);
    } else {
      CompressZstd(raw.bytes(), &packed);
    }
  }
};

MemberPipeline::MemberPipeline(Writer& out, ThreadPool& pool, Options options)
    : out_(out),
      pool_(pool),
      options_(std::make_shared<const Options>(std::move(options))),
      current_(std::make_shared<Member>()) {}

// Jobs that have not begun find their member claimed and do nothing; those
// that have begun own theirs.
MemberPipeline::~MemberPipeline() {
  for (const auto& member : in_flight_) member->claimed.store(true);
}

ByteBuffer& MemberPipeline::current() { return current_->raw; }

std::string& MemberPipeline::entries() { return current_->record.entries; }

void MemberPipeline::Cut() {
  if (current_->raw.size() == 0) return;
  if (in_flight_.size() > 2 * size_t{pool_.size()}) WriteOldest();
  in_flight_.push_back(current_);
  pool_.Submit([member = current_, options = options_] {
    member->TryCompress(*options);
  });
  if (spare_.empty()) {
    current_ = std::make_shared<Member>();
  } else {
    current_ = std::move(spare_.back());
    spare_.pop_back();
  }
}

void MemberPipeline::WriteOldest() {
  const std::shared_ptr<Member> member = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (!member->TryCompress(*options_)) {
    member->done.wait(false, std::memory_order_acquire);
  }
  if (member->error) std::rethrow_exception(member->error);
  out_.Write(member->packed.bytes());
  if (options_->keep_records) {
    member->record.offset = written_;
    records_.push_back(std::move(member->record));
  }
  written_ += member->packed.size();
  // A job of the pool may still look at a member that this thread took over:
  // it must not see it unclaimed again, so only its buffers are reused.
  auto fresh = std::make_shared<Member>();
  fresh->raw = std::move(member->raw);
  fresh->packed = std::move(member->packed);
  fresh->raw.Recycle();
  fresh->packed.Recycle();
  spare_.push_back(std::move(fresh));
}

void MemberPipeline::Finish() {
  // Starting a thread for the only member of a small layer costs more than
  // compressing it here.
  if (in_flight_.empty()) {
    if (current_->raw.size() > 0) {
      in_flight_.push_back(current_);
      WriteOldest();
    }
    return;
  }
  Cut();
  while (!in_flight_.empty()) WriteOldest();
}

}  // namespace imgbuild::layer
