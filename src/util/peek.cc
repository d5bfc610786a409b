#include "imgbuild/util/peek.h"

namespace imgbuild {

std::string ReadUpTo(Reader& from, size_t size) {
  std::string out(size, '\0');
  size_t have = 0;
  while (have < size) {
    const size_t n = from.Read(
        std::as_writable_bytes(std::span(out.data() + have, size - have)));
    if (n == 0) break;
    have += n;
  }
  out.resize(have);
  return out;
}

size_t PrefixedReader::Read(std::span<std::byte> buffer) {
  if (buffer.empty()) return 0;
  const size_t n = prefix_.Read(buffer);
  return n > 0 ? n : rest_.Read(buffer);
}

}  // namespace imgbuild
