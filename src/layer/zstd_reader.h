// zstd, any number of frames, skippable ones too.
#ifndef IMGBUILD_SRC_LAYER_ZSTD_READER_H_
#define IMGBUILD_SRC_LAYER_ZSTD_READER_H_

#include <memory>

#include "imgbuild/util/io.h"

namespace imgbuild::layer {

// `input` must outlive the result. Windows above 128 MiB are refused: what a
// frame asks for is memory that we would have to give.
std::unique_ptr<Reader> MakeZstdReader(Reader& input);

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_ZSTD_READER_H_
