// Compresses a stream as it is, for a layer whose tar must stay byte for byte:
// changing the compression of a finished image.
#ifndef IMGBUILD_LAYER_COMPRESS_H_
#define IMGBUILD_LAYER_COMPRESS_H_

#include <optional>

#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::layer {

inline constexpr int kMaxGzipLevel = 12;
inline constexpr int kMaxZstdLevel = 22;

// Reads `plain` to its end and writes it to `out`, compressed: one gzip member
// or zstd frame for each MiB, so that the bytes do not depend on the number of
// threads; kNone passes it on. An empty stream is one empty member. Without a
// level, that of the layer format. Memory is flat: two MiB a thread and what
// they become. Throws Error(kUsage) for a level that there is not.
void Compress(Reader& plain, Writer& out, ThreadPool& pool,
              oci::Compression compression,
              std::optional<int> level = std::nullopt);

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_COMPRESS_H_
