// One member of a layer's tar stream.
#ifndef IMGBUILD_LAYER_ENTRY_H_
#define IMGBUILD_LAYER_ENTRY_H_

#include <cstdint>
#include <map>
#include <string>

namespace imgbuild::layer {

enum class EntryType : uint8_t {
  kFile,
  kDirectory,
  kSymlink,
  kHardLink,
  kCharDevice,
  kBlockDevice,
  kFifo,
};

struct Entry {
  // From a reader: as found in the archive, verbatim. To a writer: relative,
  // clean, no leading or trailing slash.
  std::string path;
  EntryType type = EntryType::kFile;
  uint32_t mode = 0;  // 07777
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size = 0;  // of the data that follows; 0 for anything but kFile
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  std::string
      link_target;  // kSymlink: verbatim; kHardLink: a path in the layer
  uint32_t dev_major = 0;
  uint32_t dev_minor = 0;
  std::map<std::string, std::string> xattrs;  // "security.capability" -> bytes
};

// Whiteout names (image-spec layer.md).
inline constexpr char kWhiteoutPrefix[] = ".wh.";
inline constexpr char kOpaqueName[] = ".wh..wh..opq";

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_ENTRY_H_
