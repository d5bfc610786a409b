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

TakenDamaged::TakenDamaged()
    : Error(ErrorCode::kHost, "a part of the earlier layer is damaged") {}

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
  void operator()(libdeflate_decompressor* decoder) const {
    libdeflate_free_decompressor(decoder);
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

// One piece on its way. Whoever sets `claimed` works on it; `done` publishes
// the result (or the error) to the owner.
struct MemberPipeline::Member {
  ByteBuffer raw;
  ByteBuffer packed;
  MemberRecord record;
  const MemberRecord* taken = nullptr;  // of the earlier blob
  std::exception_ptr error;
  std::atomic<bool> claimed{false};
  std::atomic<bool> done{false};

  // False when somebody else has it.
  bool TryPerform(const Options& options, bool want_raw) {
    if (claimed.exchange(true)) return false;
    try {
      if (taken != nullptr) {
        ReadTaken(options);
        if (want_raw) Inflate(options.compression);
      } else {
        Pack(options);
      }
    } catch (...) {
      error = std::current_exception();
    }
    done.store(true, std::memory_order_release);
    done.notify_one();
    return true;
  }

  // The raw bytes of what was taken.
  void Inflate(oci::Compression compression) {
    raw.Truncate(0);
    const auto room = raw.Extend(taken->tar_size);
    size_t size = 0;
    if (compression == oci::Compression::kGzip) {
      const std::unique_ptr<libdeflate_decompressor, FreeEncoder> decoder(
          libdeflate_alloc_decompressor());
      if (!decoder) throw std::bad_alloc();
      if (libdeflate_gzip_decompress(decoder.get(), packed.bytes().data(),
                                     packed.size(), room.data(), room.size(),
                                     &size) != LIBDEFLATE_SUCCESS) {
        size = 0;
      }
    } else {
      size = ZSTD_decompress(room.data(), room.size(), packed.bytes().data(),
                             packed.size());
    }
    if (size != room.size()) throw TakenDamaged();
  }

 private:
  void ReadTaken(const Options& options) {
    record = *taken;
    packed.Truncate(0);
    if (!options.previous->Read(*taken, packed.Extend(taken->size).data())) {
      throw TakenDamaged();
    }
  }

  void Pack(const Options& options) {
    record.tar_size = raw.size();
    if (record.identity.empty() && (options.keep_records || options.previous)) {
      record.identity = oci::Digest::OfBytes(AsText(raw.bytes())).hex();
    }
    if (!TryCopy(options)) Compress(options.compression);
    if (options.keep_records) {
      record.size = packed.size();
      record.crc32 = libdeflate_crc32(0, packed.bytes().data(), packed.size());
    }
  }

  // From the earlier blob, where the same bytes were compressed before.
  bool TryCopy(const Options& options) {
    if (!options.previous) return false;
    const MemberRecord* const found = options.previous->Find(record.identity);
    if (found == nullptr || found->tar_size != record.tar_size) return false;
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
      as_before_(std::make_shared<std::atomic<bool>>(
          options_->previous != nullptr && options_->tar == nullptr)),
      current_(std::make_shared<Member>()) {}

// Jobs that have not begun find their member claimed and do nothing; those
// that have begun own theirs.
MemberPipeline::~MemberPipeline() {
  for (const auto& member : in_flight_) member->claimed.store(true);
}

ByteBuffer& MemberPipeline::current() { return current_->raw; }

std::string& MemberPipeline::entries() { return current_->record.entries; }

void MemberPipeline::Name(std::string identity) {
  current_->record.identity = std::move(identity);
}

bool MemberPipeline::Has(const std::string& identity) const {
  return options_->previous && options_->previous->Find(identity) != nullptr;
}

void MemberPipeline::Take(const std::string& identity) {
  current_->taken = options_->previous->Find(identity);
  Launch();
}

void MemberPipeline::Cut() {
  if (current_->raw.size() > 0) Launch();
}

void MemberPipeline::Launch() {
  if (in_flight_.size() > 2 * size_t{pool_.size()}) WriteOldest();
  in_flight_.push_back(current_);
  pool_.Submit([member = current_, options = options_, as_before = as_before_] {
    member->TryPerform(*options, !as_before->load());
  });
  if (spare_.empty()) {
    current_ = std::make_shared<Member>();
  } else {
    current_ = std::move(spare_.back());
    spare_.pop_back();
  }
}

// Most of a changed layer's tar is as before: up to the change its hash is
// known and its bytes are not needed.
void MemberPipeline::HashTar(Member& member) {
  MemberRecord& record = member.record;
  if (as_before_->load()) {
    const auto& before = options_->previous->members();
    const MemberRecord* const known =
        written_members_ < before.size() ? &before[written_members_] : nullptr;
    if (known != nullptr && !known->tar_state.empty() &&
        known->identity == record.identity &&
        known->tar_size == record.tar_size) {
      tar_hash_.Resume(known->tar_state, tar_hash_.size() + known->tar_size);
      record.tar_state = known->tar_state;
      ++written_members_;
      return;
    }
    as_before_->store(false);
  }
  if (member.taken != nullptr && member.raw.size() == 0) {
    member.Inflate(options_->compression);
  }
  tar_hash_.Write(member.raw.bytes());
  if (options_->tar != nullptr) options_->tar->Write(member.raw.bytes());
  if (options_->keep_records) record.tar_state = tar_hash_.State();
}

void MemberPipeline::WriteOldest() {
  const std::shared_ptr<Member> member = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (!member->TryPerform(*options_, !as_before_->load())) {
    member->done.wait(false, std::memory_order_acquire);
  }
  if (member->error) std::rethrow_exception(member->error);
  HashTar(*member);
  out_.Write(member->packed.bytes());
  if (options_->keep_records) {
    member->record.offset = written_;
    // It grew by doubling, and stays until the layer is complete.
    member->record.entries.shrink_to_fit();
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
