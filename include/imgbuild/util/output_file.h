// A file that appears whole or not at all, or standard output.
#ifndef IMGBUILD_UTIL_OUTPUT_FILE_H_
#define IMGBUILD_UTIL_OUTPUT_FILE_H_

#include <string>

#include "imgbuild/util/io.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild {

class OutputFile : public Writer {
 public:
  // "-" is standard output. The bytes go to DEST.partial until Commit().
  explicit OutputFile(std::string dest);
  // Without Commit() nothing remains.
  ~OutputFile() override;
  void Write(Bytes bytes) override;
  void Commit();

 private:
  std::string dest_;
  std::string temporary_;
  UniqueFd file_;
  bool done_ = false;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_OUTPUT_FILE_H_
