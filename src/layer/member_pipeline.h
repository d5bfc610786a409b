// Compresses pieces of a stream on a ThreadPool and hands them on in order.
#ifndef IMGBUILD_SRC_LAYER_MEMBER_PIPELINE_H_
#define IMGBUILD_SRC_LAYER_MEMBER_PIPELINE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "imgbuild/layer/member_index.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/oci/resumable_sha256.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::layer {

// A growing block of bytes that does not clear what it is about to overwrite
// and keeps its memory when emptied.
class ByteBuffer {
 public:
  size_t size() const { return size_; }
  Bytes bytes() const { return {data_.get(), size_}; }
  // `count` more bytes, to be written by the caller.
  std::span<std::byte> Extend(size_t count);
  void Truncate(size_t size) { size_ = size; }
  // Empties it; gives back the memory of an unusually large content.
  void Recycle();

 private:
  std::unique_ptr<std::byte[]> data_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Memory: at most 2 * threads + 2 members are alive. The caller's thread takes
// over what no thread of the pool has begun when it must wait anyway, so a
// pipeline may be used from inside a job of its own pool.
class MemberPipeline {
 public:
  struct Options {
    oci::Compression compression = oci::Compression::kGzip;  // not kNone
    // Members that it has are taken from there. May be null.
    std::shared_ptr<const ReusableBlob> previous;
    bool keep_records = false;
    // Gets the tar, member by member; may be null.
    Writer* tar = nullptr;
  };
  MemberPipeline(Writer& out, ThreadPool& pool, Options options);
  ~MemberPipeline();
  // The bytes of the member that is being filled, and what is noted of them
  // (with keep_records).
  ByteBuffer& current();
  std::string& entries();
  // Says which bytes the current member will have. REQUIRES: it is empty.
  void Name(std::string identity);
  // Whether there is an earlier member of that name. Take() takes it over; what
  // cannot be read shows later: TakenDamaged. REQUIRES: the current member is
  // empty.
  bool Has(const std::string& identity) const;
  void Take(const std::string& identity);
  // Ends the current member (nothing happens when it is empty).
  void Cut();
  // Ends the last one and writes all that is left.
  void Finish();
  // What was written; empty without keep_records.
  std::vector<MemberRecord> TakeRecords() { return std::move(records_); }
  // Of the tar, once all is written.
  uint64_t tar_size() const { return tar_hash_.size(); }
  oci::Digest FinishTar() { return tar_hash_.Finish(); }

 private:
  struct Member;
  void Launch();
  void WriteOldest();
  void HashTar(Member& member);

  Writer& out_;
  ThreadPool& pool_;
  const std::shared_ptr<const Options> options_;  // jobs share it
  oci::ResumableSha256 tar_hash_;
  // While the tar is what it was in the earlier layer its hash is known, and
  // so are as many of its members as records have been written.
  const std::shared_ptr<std::atomic<bool>> as_before_;
  size_t written_members_ = 0;
  std::vector<MemberRecord> records_;
  uint64_t written_ = 0;
  std::shared_ptr<Member> current_;
  std::deque<std::shared_ptr<Member>> in_flight_;
  std::vector<std::shared_ptr<Member>> spare_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_MEMBER_PIPELINE_H_
