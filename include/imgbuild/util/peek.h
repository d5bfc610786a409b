// Looking at the first bytes of a stream before deciding what it is.
#ifndef IMGBUILD_UTIL_PEEK_H_
#define IMGBUILD_UTIL_PEEK_H_

#include <cstddef>
#include <string>
#include <utility>

#include "imgbuild/util/io.h"

namespace imgbuild {

// The next `size` bytes, fewer only at the end.
std::string ReadUpTo(Reader& from, size_t size);

// Gives back what was looked at, then the rest.
class PrefixedReader : public Reader {
 public:
  // `rest` must outlive it.
  PrefixedReader(std::string prefix, Reader& rest)
      : prefix_(std::move(prefix)), rest_(rest) {}
  size_t Read(std::span<std::byte> buffer) override;

 private:
  StringReader prefix_;
  Reader& rest_;
};

}  // namespace imgbuild

#endif  // IMGBUILD_UTIL_PEEK_H_
