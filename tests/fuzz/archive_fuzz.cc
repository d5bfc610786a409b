// Archives of images as a source of copies: whatever stands in them, what is
// handed out lies inside and documents have their digests.
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "imgbuild/transfer/place.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/unique_fd.h"

using namespace imgbuild;  // NOLINT: a fuzz target is one function

namespace {

void ReadBlob(transfer::ImageSource& source, const oci::Descriptor& blob) {
  const std::string bytes =
      ReadAll(*source.Blob(blob)->ReadFrom(0), size_t{1} << 20, "blob");
  if (bytes.size() != blob.size) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const UniqueFd file(::memfd_create("archive", MFD_CLOEXEC));
  if (!file) std::abort();
  fs::WriteAll(file.get(), std::as_bytes(std::span(data, size)), "archive");
  const CancelToken cancel;
  for (const char* name : {"", "a:1", "1"}) {
    try {
      const auto source = transfer::ArchiveSource(
          {"/proc/self/fd/" + std::to_string(file.get()), name, {}}, cancel);
      const oci::Document root = source->Root();
      if (oci::Digest::OfBytes(root.bytes, root.digest.algorithm()) !=
          root.digest) {
        std::abort();
      }
      if (!root.manifest) continue;
      ReadBlob(*source, root.manifest->config);
      for (const oci::Descriptor& layer : root.manifest->layers) {
        ReadBlob(*source, layer);
      }
    } catch (const Error&) {
    }
  }
  return 0;
}
