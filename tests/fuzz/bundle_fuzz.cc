// Any bytes as the tar of a bundle. What must hold: an Error of the registry's
// kind or an end; what was taken are wanted blobs, whole and with the right
// bytes, and nothing else is kept.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "imgbuild/transfer/bundle.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"

#include "support/memory_content.h"

namespace imgbuild::transfer {
namespace {

// What testdata/fuzz/bundle/*.tar have, and one that they have not.
const char* const kBlobs[] = {"", "one\n", "two\n", "missing\n"};

void Check(std::string_view tar) {
  std::map<oci::Digest, uint64_t> wanted;
  for (const std::string_view blob : kBlobs) {
    wanted.emplace(oci::Digest::OfBytes(blob), blob.size());
  }
  store::MemoryContent content;
  size_t found = 0;
  bool failed = false;
  try {
    StringReader reader{std::string(tar)};
    found = ImportTarBlobs(content, reader, wanted, CancelToken());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kRegistry) std::abort();
    failed = true;
  }
  const auto kept = content.List();
  if (!failed && kept.size() != found) std::abort();
  for (const oci::Digest& digest : kept) {
    const auto it = wanted.find(digest);
    if (it == wanted.end()) std::abort();
    const auto bytes = content.Read(digest, 1024);
    if (!bytes || bytes->size() != it->second ||
        oci::Digest::OfBytes(*bytes) != digest) {
      std::abort();
    }
  }
}

}  // namespace
}  // namespace imgbuild::transfer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 1u << 20) return 0;
  imgbuild::transfer::Check(
      std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
