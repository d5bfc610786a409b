// A Reader whose bytes are made on a thread of their own, ahead of the one that
// takes them: two halves of a pipeline run at the same time.
#ifndef IMGBUILD_UTIL_READ_AHEAD_H_
#define IMGBUILD_UTIL_READ_AHEAD_H_

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "imgbuild/util/io.h"

namespace imgbuild {

// Bytes move in chunks that are never copied on the making side, so use it
// between stages that each cost more than a copy.
class ReadAhead : public Reader {
 public:
  static constexpr size_t kChunkBytes = 256u << 10;
  static constexpr size_t kChunks = 4;

  // Only the new thread calls `input` from now on, until Join() or the
  // destructor; it must outlive both.
  explicit ReadAhead(Reader& input, size_t chunk_bytes = kChunkBytes,
                     size_t chunks = kChunks);
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;
  // Waits for a Read() of `input` that has begun, and no longer.
  ~ReadAhead() override;

  // What `input` threw comes after the bytes before it, and at each further
  // call.
  size_t Read(std::span<std::byte> buffer) override;
  // Afterwards `input` is the caller's again. Bytes that nobody took are lost.
  void Join();

 private:
  struct Chunk {
    std::vector<std::byte> bytes;
    size_t size = 0;
  };
  void Fill();
  // False when nobody wants more.
  bool TakeFree(Chunk* chunk);

  Reader& input_;
  std::mutex mutex_;
  std::condition_variable freed_;
  std::condition_variable filled_;
  std::vector<Chunk> free_;
  std::deque<Chunk> full_;
  bool ended_ = false;
  std::atomic<bool> stopped_{false};
  std::exception_ptr error_;
  // The reading side's alone.
  Chunk current_;
  size_t taken_ = 0;
  std::thread thread_;  // last: it uses the others
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_READ_AHEAD_H_
