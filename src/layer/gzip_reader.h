// gzip, any number of members, by ISA-L.
#ifndef IMGBUILD_SRC_LAYER_GZIP_READER_H_
#define IMGBUILD_SRC_LAYER_GZIP_READER_H_

#include <memory>

#include "imgbuild/util/io.h"

namespace imgbuild::layer {

// `input` must outlive the result. Each member's CRC-32 and length are
// checked. After the last member only zero bytes may follow (tapes and some
// writers pad); anything else is Error(kRegistry).
std::unique_ptr<Reader> MakeGzipReader(Reader& input);

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_GZIP_READER_H_
