#include "imgbuild/util/read_ahead.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace imgbuild {

ReadAhead::ReadAhead(Reader& input, size_t chunk_bytes, size_t chunks)
    : input_(input) {
  // One is with each side; memory is touched when it is first filled.
  free_.resize(std::max<size_t>(chunks, 2));
  for (Chunk& chunk : free_) {
    chunk.bytes.resize(std::max<size_t>(chunk_bytes, 1));
  }
  thread_ = std::thread([this] { Fill(); });
}

ReadAhead::~ReadAhead() { Join(); }

void ReadAhead::Join() {
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
  }
  freed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

bool ReadAhead::TakeFree(Chunk* chunk) {
  std::unique_lock lock(mutex_);
  freed_.wait(lock, [this] { return stopped_ || !free_.empty(); });
  if (stopped_) return false;
  *chunk = std::move(free_.back());
  free_.pop_back();
  chunk->size = 0;
  return true;
}

void ReadAhead::Fill() {
  std::exception_ptr error;
  Chunk chunk;
  bool more = true;
  while (more && TakeFree(&chunk)) {
    // Whole chunks: fewer wake-ups.
    while (more && !stopped_ && chunk.size < chunk.bytes.size()) {
      try {
        const size_t n =
            input_.Read(std::span(chunk.bytes).subspan(chunk.size));
        chunk.size += n;
        more = n > 0;
      } catch (...) {
        error = std::current_exception();
        more = false;
      }
    }
    const std::scoped_lock lock(mutex_);
    full_.push_back(std::move(chunk));
    if (!more) {
      error_ = error;
      ended_ = true;
    }
    filled_.notify_one();
  }
}

size_t ReadAhead::Read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  while (taken_ == current_.size) {
    std::unique_lock lock(mutex_);
    if (!current_.bytes.empty()) {
      free_.push_back(std::move(current_));
      freed_.notify_one();
    }
    current_ = {};
    taken_ = 0;
    filled_.wait(lock, [this] { return ended_ || !full_.empty(); });
    if (full_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return 0;
    }
    current_ = std::move(full_.front());
    full_.pop_front();
  }
  const size_t n = std::min(buffer.size(), current_.size - taken_);
  std::memcpy(buffer.data(), current_.bytes.data() + taken_, n);
  taken_ += n;
  return n;
}

}  // namespace imgbuild
