// A Reader as the input of a libarchive read handle.
#ifndef IMGBUILD_SRC_LAYER_LIBARCHIVE_INPUT_H_
#define IMGBUILD_SRC_LAYER_LIBARCHIVE_INPUT_H_

#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "imgbuild/util/io.h"

struct archive;

namespace imgbuild::layer {

struct FreeArchive {
  void operator()(struct archive* handle) const;
};
using ArchiveHandle = std::unique_ptr<struct archive, FreeArchive>;

// Feeds one Reader to one handle. Exceptions of the Reader do not pass through
// C code: they are kept, and Throw() prefers them to libarchive's own text.
class LibarchiveInput {
 public:
  explicit LibarchiveInput(Reader& input);
  // Opens `handle`; this object must stay where it is from then on.
  void Open(struct archive* handle, std::string_view what);
  // Error(kRegistry) `WHAT: TEXT`, or what the Reader threw.
  [[noreturn]] void Throw(struct archive* handle, std::string_view what);
  // Reads the rest of the input and drops it.
  void Drain();
  // Whether the input has no bytes at all (reads ahead).
  bool Empty();

 private:
  static ssize_t OnRead(struct archive*, void* self, const void** block);
  size_t Fill();

  Reader& input_;
  std::vector<std::byte> buffer_;
  size_t ahead_ = 0;
  bool ended_ = false;
  std::exception_ptr error_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_SRC_LAYER_LIBARCHIVE_INPUT_H_
