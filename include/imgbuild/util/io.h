// Byte streams. A Reader is pulled, a Writer is pushed; BoundedPipe joins a
// pushing thread (a download) to a pulling one (a tar parser) with a fixed
// amount of memory between them.
#ifndef IMGBUILD_UTIL_IO_H_
#define IMGBUILD_UTIL_IO_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace imgbuild {

using Bytes = std::span<const std::byte>;

inline Bytes AsBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Reader {
 public:
  virtual ~Reader() = default;
  // Fills up to buffer.size() bytes; 0 only at the end. Throws Error.
  virtual size_t Read(std::span<std::byte> buffer) = 0;
};

class Writer {
 public:
  virtual ~Writer() = default;
  // Takes all of `bytes` or throws Error.
  virtual void Write(Bytes bytes) = 0;
};

// Reads a file descriptor it does not own, from its current offset.
class FdReader : public Reader {
 public:
  // `name` is for error texts.
  FdReader(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  size_t Read(std::span<std::byte> buffer) override;

 private:
  int fd_;
  std::string name_;
};

// Writes to a file descriptor it does not own.
class FdWriter : public Writer {
 public:
  FdWriter(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  void Write(Bytes bytes) override;

 private:
  int fd_;
  std::string name_;
};

class StringReader : public Reader {
 public:
  explicit StringReader(std::string text) : text_(std::move(text)) {}
  size_t Read(std::span<std::byte> buffer) override;

 private:
  std::string text_;
  size_t offset_ = 0;
};

class StringWriter : public Writer {
 public:
  void Write(Bytes bytes) override { text_.append(AsText(bytes)); }
  const std::string& text() const { return text_; }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

// Passes everything to both.
class TeeWriter : public Writer {
 public:
  TeeWriter(Writer& a, Writer& b) : a_(a), b_(b) {}
  void Write(Bytes bytes) override {
    a_.Write(bytes);
    b_.Write(bytes);
  }

 private:
  Writer& a_;
  Writer& b_;
};

// Copies until the end; returns the number of bytes.
uint64_t CopyAll(Reader& from, Writer& to);
// Everything up to the end; Error(kHost) when it is more than `cap` bytes,
// naming `what`.
std::string ReadAll(Reader& from, size_t cap, std::string_view what);

// A queue of bytes between two threads. The writing side blocks while
// `capacity` bytes wait; the reading side blocks while none do.
class BoundedPipe : public Reader, public Writer {
 public:
  explicit BoundedPipe(size_t capacity);
  void Write(Bytes bytes) override;
  size_t Read(std::span<std::byte> buffer) override;
  // The writer is done: Read() returns 0 after the rest.
  void CloseWrite();
  // The writer failed: Read() rethrows `error` after the rest.
  void CloseWrite(std::exception_ptr error);
  // The reader is gone: Write() throws from now on (with `error`, if given).
  void CloseRead(std::exception_ptr error = nullptr);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::byte> ring_;
  size_t head_ = 0;
  size_t size_ = 0;
  bool write_closed_ = false;
  bool read_closed_ = false;
  std::exception_ptr write_error_;
  std::exception_ptr read_error_;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_IO_H_
