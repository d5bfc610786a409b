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
  size_t max_path_bytes = 4096;
  size_t max_xattr_bytes = 1u << 20;  // of all attributes of an entry
  uint64_t max_entries = 20'000'000;
  uint64_t max_total_bytes = 1ull << 44;
};

class TarReader {
 public:
  // `input` is an uncompressed tar stream and must outlive the reader.
  explicit TarReader(Reader& input, const TarLimits& limits = {});
  ~TarReader();
  // The next member, nullopt at the end. Names and targets are the bytes of
  // the archive. Throws Error(kRegistry) on a malformed or truncated stream
  // and when a limit is passed.
  std::optional<Entry> Next();
  // Data of the current member (sparse holes come as zeros); 0 at its end.
  size_t Read(std::span<std::byte> buffer);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_TAR_READER_H_
