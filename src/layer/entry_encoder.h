// The tar bytes of one entry in layer format 1 (see layer_writer.h).
#ifndef IMGBUILD_SRC_LAYER_ENTRY_ENCODER_H_
#define IMGBUILD_SRC_LAYER_ENTRY_ENCODER_H_

#include <cstdint>
#include <string>

#include "imgbuild/layer/entry.h"

namespace imgbuild::layer {

inline constexpr uint64_t kTarBlock = 512;

// Everything before the entry's data: the PAX header if one is needed, then
// the ustar header. A multiple of kTarBlock. Throws Error(kHost) for what tar
// cannot say (an attribute name with "=").
std::string EncodeHeader(const Entry& entry);

// Bytes of zeros after `size` bytes of data.
inline uint64_t PaddingAfter(uint64_t size) {
  return (kTarBlock - size % kTarBlock) % kTarBlock;
}

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_ENTRY_ENCODER_H_
