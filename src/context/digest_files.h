// Reading files for their digests.
#ifndef IMGBUILD_SRC_CONTEXT_DIGEST_FILES_H_
#define IMGBUILD_SRC_CONTEXT_DIGEST_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/file_tree.h"

namespace imgbuild::context {

// Digests files one after the other, through one buffer. One per thread.
class FileDigester {
 public:
  explicit FileDigester(const CancelToken& cancel);

  struct Result {
    oci::Digest digest;
    bool has_xattrs = false;
    // Of the open file; nothing about it changed while it was read.
    FileInfo info;
    bool steady = false;
  };
  // `path` names it in errors. Error(kHost) when `fd` is no regular file of
  // `size` bytes from the beginning to the end of the reading.
  Result Digest(int fd, uint64_t size, const std::string& path);

 private:
  const CancelToken& cancel_;
  std::vector<std::byte> buffer_;
};

// Nanoseconds since 1970.
int64_t WallClock();

}  // namespace imgbuild::context

#endif  // IMGBUILD_SRC_CONTEXT_DIGEST_FILES_H_
