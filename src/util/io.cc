#include "imgbuild/util/io.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

namespace imgbuild {
namespace {

constexpr size_t kChunk = 64 * 1024;

// Descriptors handed in may be non-blocking (a terminal shared with another
// program); waiting is what a blocking one would have done.
void WaitFor(int fd, short events) {
  pollfd entry{.fd = fd, .events = events, .revents = 0};
  ::poll(&entry, 1, -1);
}

}  // namespace

size_t FdReader::Read(std::span<std::byte> buffer) {
  for (;;) {
    const ssize_t n = ::read(fd_, buffer.data(), buffer.size());
    if (n >= 0) return static_cast<size_t>(n);
    if (errno == EAGAIN) {
      WaitFor(fd_, POLLIN);
    } else if (errno != EINTR) {
      throw ErrnoError("read", name_, errno);
    }
  }
}

void FdWriter::Write(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n >= 0) {
      bytes = bytes.subspan(static_cast<size_t>(n));
    } else if (errno == EAGAIN) {
      WaitFor(fd_, POLLOUT);
    } else if (errno != EINTR) {
      throw ErrnoError("write", name_, errno);
    }
  }
}

size_t StringReader::Read(std::span<std::byte> buffer) {
  const size_t n = std::min(buffer.size(), text_.size() - offset_);
  if (n > 0) std::memcpy(buffer.data(), text_.data() + offset_, n);
  offset_ += n;
  return n;
}

uint64_t CopyAll(Reader& from, Writer& to) {
  std::vector<std::byte> buffer(kChunk);
  uint64_t total = 0;
  while (const size_t n = from.Read(buffer)) {
    to.Write(Bytes(buffer).first(n));
    total += n;
  }
  return total;
}

std::string ReadAll(Reader& from, size_t cap, std::string_view what) {
  std::string out;
  std::vector<std::byte> buffer(std::min(cap, kChunk) + 1);
  while (const size_t n = from.Read(buffer)) {
    if (n > cap - out.size()) {
      throw Error(ErrorCode::kHost, "read " + Quoted(what) + ": more than " +
                                        std::to_string(cap) + " bytes");
    }
    out.append(AsText(Bytes(buffer).first(n)));
  }
  return out;
}

BoundedPipe::BoundedPipe(size_t capacity)
    : ring_(std::max<size_t>(capacity, 1)) {}

// One thread a side. Bytes are copied without the lock: what waits belongs to
// the reading side, the room to the writing side.
void BoundedPipe::Write(Bytes bytes) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (read_closed_) {
      if (read_error_) std::rethrow_exception(read_error_);
      throw Error(ErrorCode::kHost, "write to pipe: the reader is gone");
    }
    if (bytes.empty()) return;
    if (write_closed_) {
      throw Error(ErrorCode::kHost, "write to pipe: it is closed");
    }
    if (size_ == ring_.size()) {
      changed_.wait(lock);
      continue;
    }
    const size_t tail = (head_ + size_) % ring_.size();
    const size_t run =
        std::min({bytes.size(), ring_.size() - size_, ring_.size() - tail});
    lock.unlock();
    std::memcpy(ring_.data() + tail, bytes.data(), run);
    bytes = bytes.subspan(run);
    lock.lock();
    // Only a side that found nothing to do sleeps.
    if (size_ == 0) changed_.notify_all();
    size_ += run;
  }
}

size_t BoundedPipe::Read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  std::unique_lock lock(mutex_);
  changed_.wait(lock,
                [&] { return size_ > 0 || write_closed_ || read_closed_; });
  size_t total = 0;
  while (!read_closed_ && total < buffer.size() && size_ > 0) {
    const size_t run =
        std::min({buffer.size() - total, size_, ring_.size() - head_});
    lock.unlock();
    std::memcpy(buffer.data() + total, ring_.data() + head_, run);
    total += run;
    lock.lock();
    if (size_ == ring_.size()) changed_.notify_all();
    head_ = (head_ + run) % ring_.size();
    size_ -= run;
  }
  if (read_closed_) {
    throw Error(ErrorCode::kHost, "read from pipe: it is closed");
  }
  if (total == 0 && write_error_) std::rethrow_exception(write_error_);
  return total;
}

void BoundedPipe::CloseWrite() { CloseWrite(nullptr); }

void BoundedPipe::CloseWrite(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (write_closed_) return;  // the first reason is the one that counts
  write_closed_ = true;
  write_error_ = std::move(error);
  changed_.notify_all();
}

void BoundedPipe::CloseRead(std::exception_ptr error) {
  const std::lock_guard lock(mutex_);
  if (read_closed_) return;
  read_closed_ = true;
  read_error_ = std::move(error);
  changed_.notify_all();
}

}  // namespace imgbuild
