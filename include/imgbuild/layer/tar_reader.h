// Reads tar streams of any origin (ustar, PAX, GNU; libarchive inside, as a
// parser only: nothing is ever written to disk by it).
#ifndef IMGBUILD_LAYER_TAR_READER_H_
#define IMGBUILD_LAYER_TAR_READER_H_

#include <memory>
#include <optional>
#include <span>

#include "imgbuild/layer/entry.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {

struct TarLimits {
  size_t max_path_bytes = 4096;       // of a name, and of a link's target
  size_t max_xattr_bytes = 1u << 20;  // of all attributes of an entry
  uint64_t max_entries = 20'000'000;
  uint64_t max_total_bytes = 1ull << 44;
};

class TarReader {
 public:
  // `input` is an uncompressed tar stream and must outlive the reader.
  explicit TarReader(Reader& input, const TarLimits& limits = {});
  ~TarReader();
  // The next member, nullopt at the end; what `input` has after the end of the
  // archive is read and dropped, so that whoever hashes it sees every byte.
  // What was not read of the member before is skipped. Names and targets are
  // the bytes of the archive (the process must be in the C locale, which it is
  // unless somebody calls setlocale). Throws Error(kRegistry) on a malformed
  // or truncated stream and when a limit is passed; the sum of the declared
  // sizes counts, so a bomb of holes is refused before a byte is written.
  std::optional<Entry> Next();
  // Data of the current member (sparse holes come as zeros); 0 at its end.
  size_t Read(std::span<std::byte> buffer);
  // The same without copying, and with the holes left out: the next piece that
  // has bytes, valid until the next call; nullopt at the member's end. Do not
  // mix with Read() within one member.
  struct Block {
    Bytes bytes;
    uint64_t offset = 0;
  };
  std::optional<Block> ReadBlock();
  // Where the current member's data begins in the input, in one piece of
  // Entry::size bytes; nullopt for what is no file, or has holes. Before the
  // first read of it.
  std::optional<uint64_t> DataOffset() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_TAR_READER_H_
