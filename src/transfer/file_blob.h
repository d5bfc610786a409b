// A blob that lies in a file.
#ifndef IMGBUILD_SRC_TRANSFER_FILE_BLOB_H_
#define IMGBUILD_SRC_TRANSFER_FILE_BLOB_H_

#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::transfer {

class FileReader : public Reader {
 public:
  FileReader(UniqueFd file, uint64_t offset, std::string name)
      : file_(std::move(file)), reader_(file_.get(), name) {
    if (::lseek(file_.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
      throw ErrnoError("seek in", name, errno);
    }
  }
  size_t Read(std::span<std::byte> buffer) override {
    return reader_.Read(buffer);
  }

 private:
  UniqueFd file_;
  FdReader reader_;
};

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_SRC_TRANSFER_FILE_BLOB_H_
