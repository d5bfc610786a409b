// A stream whose beginning was taken already and that began again: whoever
// reads it can only start over.
#ifndef IMGBUILD_SRC_TRANSFER_STREAM_ERROR_H_
#define IMGBUILD_SRC_TRANSFER_STREAM_ERROR_H_

#include "imgbuild/util/error.h"

namespace imgbuild::transfer {

class StreamBeganAgain : public Error {
 public:
  StreamBeganAgain()
      : Error(ErrorCode::kRegistry, "the download began again") {}
};

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_SRC_TRANSFER_STREAM_ERROR_H_
