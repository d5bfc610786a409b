#include "imgbuild/layer/codec.h"

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cstdint>
#include <new>

#include "imgbuild/util/error.h"

#include "layer/gzip_reader.h"
#include "layer/libarchive_input.h"
#include "layer/zstd_reader.h"

namespace imgbuild::layer {
namespace {

class PassThrough : public Reader {
 public:
  explicit PassThrough(Reader& input) : input_(input) {}
  size_t Read(std::span<std::byte> buffer) override {
    return input_.Read(buffer);
  }

 private:
  Reader& input_;
};

// bzip2 and xz: libarchive's filters below its "raw" format, which is one
// nameless entry with the decompressed bytes.
class FilterReader : public Reader {
 public:
  FilterReader(Reader& input, ArchiveFormat format)
      : input_(input), name_(format == ArchiveFormat::kXz ? "xz" : "bzip2") {
    handle_.reset(archive_read_new());
    if (!handle_) throw std::bad_alloc();
    const int supported =
        format == ArchiveFormat::kXz
            ? archive_read_support_filter_xz(handle_.get())
            : archive_read_support_filter_bzip2(handle_.get());
    // Anything but OK means that libarchive would start a program found in
    // PATH instead: never.
    if (supported != ARCHIVE_OK) {
      throw Error(ErrorCode::kHost,
                  std::string(name_) +
                      ": libarchive was built without this decompressor");
    }
    archive_read_support_format_raw(handle_.get());
    input_.Open(handle_.get(), name_);
    struct archive_entry* entry = nullptr;
    const int result = archive_read_next_header(handle_.get(), &entry);
    if (result == ARCHIVE_EOF) {
      ended_ = true;
    } else if (result != ARCHIVE_OK) {
      input_.Throw(handle_.get(), name_);
    } else if (archive_filter_count(handle_.get()) < 2) {
      throw Error(ErrorCode::kRegistry,
                  std::string(name_) + ": not in this format");
    }
  }

  size_t Read(std::span<std::byte> buffer) override {
    if (ended_ || buffer.empty()) return 0;
    const la_ssize_t n =
        archive_read_data(handle_.get(), buffer.data(), buffer.size());
    if (n < 0) input_.Throw(handle_.get(), name_);
    ended_ = n == 0;
    return static_cast<size_t>(n);
  }

 private:
  LibarchiveInput input_;
  std::string_view name_;
  ArchiveHandle handle_;
  bool ended_ = false;
};

// The value of an octal header field; nullopt when it is not one.
std::optional<uint32_t> ParseOctalField(std::string_view field) {
  uint32_t value = 0;
  size_t i = 0;
  while (i < field.size() && field[i] == ' ') ++i;
  const size_t first = i;
  for (; i < field.size() && field[i] >= '0' && field[i] <= '7'; ++i) {
    value = value * 8 + static_cast<uint32_t>(field[i] - '0');
  }
  if (i == first) return std::nullopt;
  return value;
}

}  // namespace

std::unique_ptr<Reader> Decompress(Reader& input,
                                   oci::Compression compression) {
  switch (compression) {
    case oci::Compression::kGzip:
      return MakeGzipReader(input);
    case oci::Compression::kZstd:
      return MakeZstdReader(input);
    case oci::Compression::kNone:
      break;
  }
  return std::make_unique<PassThrough>(input);
}

ArchiveFormat SniffCompression(std::string_view first_bytes) {
  struct Magic {
    std::string_view bytes;
    ArchiveFormat format;
  };
  static constexpr std::array kMagics = {
      Magic{"\x1f\x8b", ArchiveFormat::kGzip},
      Magic{"\x28\xb5\x2f\xfd", ArchiveFormat::kZstd},
      Magic{"BZh", ArchiveFormat::kBzip2},
      Magic{std::string_view("\xfd"
                             "7zXZ\0",
                             6),
            ArchiveFormat::kXz},
  };
  for (const Magic& magic : kMagics) {
    if (first_bytes.starts_with(magic.bytes)) return magic.format;
  }
  // A zstd stream may begin with a skippable frame: 0x184D2A50 to 0x184D2A5F.
  if (first_bytes.size() >= 4 &&
      (static_cast<unsigned char>(first_bytes[0]) & 0xf0) == 0x50 &&
      first_bytes.substr(1, 3) == "\x2a\x4d\x18") {
    return ArchiveFormat::kZstd;
  }
  return ArchiveFormat::kPlain;
}

std::unique_ptr<Reader> DecompressAny(Reader& input, ArchiveFormat format) {
  switch (format) {
    case ArchiveFormat::kGzip:
      return MakeGzipReader(input);
    case ArchiveFormat::kZstd:
      return MakeZstdReader(input);
    case ArchiveFormat::kBzip2:
    case ArchiveFormat::kXz:
      return std::make_unique<FilterReader>(input, format);
    case ArchiveFormat::kPlain:
      break;
  }
  return std::make_unique<PassThrough>(input);
}

bool LooksLikeTar(std::string_view first_bytes) {
  constexpr size_t kHeader = 512;
  constexpr size_t kSumOffset = 148;
  constexpr size_t kSumBytes = 8;
  if (first_bytes.size() < kHeader) return false;
  const std::optional<uint32_t> stored =
      ParseOctalField(first_bytes.substr(kSumOffset, kSumBytes));
  if (!stored) return false;
  uint32_t as_unsigned = 0;
  int32_t as_signed = 0;  // some historic writers summed signed chars
  for (size_t i = 0; i < kHeader; ++i) {
    const bool in_sum = i >= kSumOffset && i < kSumOffset + kSumBytes;
    const char c = in_sum ? ' ' : first_bytes[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  return *stored == as_unsigned || static_cast<int32_t>(*stored) == as_signed;
}

}  // namespace imgbuild::layer
