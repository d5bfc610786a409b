// Decompression of layers and archives, as Readers.
#ifndef IMGBUILD_LAYER_CODEC_H_
#define IMGBUILD_LAYER_CODEC_H_

#include <memory>
#include <string_view>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {

// Inflates gzip (any number of members) or zstd (any number of frames,
// skippable ones too), or passes through. `input` must outlive the result.
// Truncation, a bad checksum and trailing garbage are Error(kRegistry); an
// endless stream is the caller's limit to set.
std::unique_ptr<Reader> Decompress(Reader& input, oci::Compression compression);

// What the first bytes say.
enum class ArchiveFormat { kPlain, kGzip, kZstd, kBzip2, kXz };
ArchiveFormat SniffCompression(std::string_view first_bytes);

// Like Decompress, for everything that ADD and `load` accept (bzip2 and xz
// through libarchive's filters).
std::unique_ptr<Reader> DecompressAny(Reader& input, ArchiveFormat format);

// Whether `first_bytes` (512 or more, already decompressed) begin a tar
// archive: a header whose checksum is right.
bool LooksLikeTar(std::string_view first_bytes);

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_CODEC_H_
