// Decompression, the tar parser and the extraction routine on any bytes at
// all. An Error is a fine answer; a crash, a hang, another exception or a
// change outside the root is not.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "imgbuild/layer/codec.h"
#include "imgbuild/layer/extract.h"
#include "imgbuild/layer/tar_reader.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"

namespace imgbuild::layer {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kSum = 148;

TarLimits SmallLimits() {
  TarLimits limits;
  limits.max_entries = 2000;
  limits.max_total_bytes = 4u << 20;
  return limits;
}

// A mutation of a header nearly always breaks its checksum, and then nothing
// behind the first check is ever reached. So headers are made valid again.
void FixChecksums(std::string* tar) {
  for (size_t at = 0; at + kBlock <= tar->size(); at += kBlock) {
    if (tar->compare(at + 257, 5, "ustar") != 0) continue;
    tar->replace(at + kSum, 8, "        ");
    unsigned sum = 0;
    for (size_t i = 0; i < kBlock; ++i) {
      sum += static_cast<unsigned char>((*tar)[at + i]);
    }
    char text[8];
    std::snprintf(text, sizeof text, "%06o", sum & 0777777);
    tar->replace(at + kSum, 7, text, 7);
  }
}

void ReadOnly(Reader& tar) {
  TarReader reader(tar, SmallLimits());
  uint64_t total = 0;
  while (const auto entry = reader.Next()) {
    std::byte buffer[4096];
    uint64_t size = 0;
    while (const size_t n = reader.Read(buffer)) size += n;
    if (size != entry->size) std::abort();
    total += size;
  }
  if (total > SmallLimits().max_total_bytes) std::abort();
}

// Extracts beside a directory that must stay empty and keep its mode.
void ExtractAndCheck(Reader& tar, WhiteoutForm form) {
  fs::TempDir temp = fs::TempDir::InTmp("tar-fuzz-");
  fs::MakeDir(temp.fd(), "root", 0755);
  fs::MakeDir(temp.fd(), "outside", 0711);
  const UniqueFd root = fs::OpenDir(temp.fd(), "root");
  ExtractOptions options;
  options.whiteouts = form;
  options.tolerate_ownership = true;
  options.limits = SmallLimits();
  try {
    Extract(tar, root.get(), options);
  } catch (const Error&) {
  }
  const UniqueFd outside = fs::OpenDir(temp.fd(), "outside");
  const bool intact = fs::ListDir(temp.fd()).size() == 2 &&
                      fs::ListDir(outside.get()).empty() &&
                      (fs::Fstat(outside.get()).st_mode & 07777) == 0711;
  if (!intact) std::abort();
}

}  // namespace
}  // namespace imgbuild::layer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace imgbuild;
  using namespace imgbuild::layer;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  const ArchiveFormat format = SniffCompression(bytes);
  LooksLikeTar(bytes);
  if (format == ArchiveFormat::kPlain) FixChecksums(&bytes);
  constexpr WhiteoutForm kForms[] = {
      WhiteoutForm::kOverlay, WhiteoutForm::kApply, WhiteoutForm::kVerbatim};
  try {
    StringReader first(bytes);
    ReadOnly(*DecompressAny(first, format));
  } catch (const Error&) {
  }
  try {
    StringReader second(bytes);
    ExtractAndCheck(*DecompressAny(second, format), kForms[size % 3]);
  } catch (const Error&) {
  }
  return 0;
}
