#include "imgbuild/util/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <string_view>
#include <utility>

#include "imgbuild/util/fs.h"

namespace imgbuild {

OutputFile::OutputFile(std::string dest) : dest_(std::move(dest)) {
  if (dest_ == "-") return;
  temporary_ = dest_ + ".partial";
  file_ = fs::Open(AT_FDCWD, temporary_, O_WRONLY | O_CREAT | O_TRUNC, 0644);
}

OutputFile::~OutputFile() {
  if (file_ && !done_) ::unlink(temporary_.c_str());
}

void OutputFile::Write(Bytes bytes) {
  fs::WriteAll(file_ ? file_.get() : 1, bytes,
               file_ ? std::string_view(dest_) : "standard output");
}

void OutputFile::Commit() {
  if (file_) fs::Rename(AT_FDCWD, temporary_, AT_FDCWD, dest_);
  done_ = true;
}

}  // namespace imgbuild
