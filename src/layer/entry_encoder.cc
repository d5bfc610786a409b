#include "layer/entry_encoder.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

// None of this may change without a new layer format number: the bytes are the
// format. That is also why it is our own code and not a library's.
namespace imgbuild::layer {
namespace {

using PaxRecords = std::map<std::string, std::string>;

// A field of the ustar header: where it begins and how long it is.
struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kUid{108, 8};
constexpr Field kGid{116, 8};
constexpr Field kSize{124, 12};
constexpr Field kMtime{136, 12};
constexpr Field kChecksum{148, 8};
constexpr size_t kTypeFlag = 156;
constexpr Field kLinkName{157, 100};
constexpr Field kMagic{257, 8};
constexpr Field kDevMajor{329, 8};
constexpr Field kDevMinor{337, 8};
constexpr Field kPrefix{345, 155};

class Header {
 public:
  Header() {
    PutText(kMagic, std::string_view("ustar\0"
                                     "00",
                                     8));
  }

  void PutText(Field field, std::string_view text) {
    std::copy_n(text.begin(), std::min(text.size(), field.size),
                block_.begin() + static_cast<ptrdiff_t>(field.offset));
  }
  // Leading zeros and a final NUL.
  void PutOctal(Field field, uint64_t value) {
    for (size_t i = field.size - 1; i-- > 0; value >>= 3) {
      block_[field.offset + i] = static_cast<char>('0' + (value & 7));
    }
  }
  void PutType(char flag) { block_[kTypeFlag] = flag; }

  std::string Finish() {
    PutText(kChecksum, "        ");
    uint64_t sum = 0;
    for (const char c : block_) sum += static_cast<unsigned char>(c);
    // Six digits, NUL, space: as every tar since the first has it.
    PutOctal({kChecksum.offset, 7}, sum);
    return {block_.data(), block_.size()};
  }

 private:
  std::array<char, kTarBlock> block_{};
};

constexpr uint64_t MaxOctal(Field field) {
  return (uint64_t{1} << (3 * (field.size - 1))) - 1;
}

bool IsAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x80;
  });
}

char TypeFlag(EntryType type) {
  switch (type) {
    case EntryType::kFile:
      return '0';
    case EntryType::kHardLink:
      return '1';
    case EntryType::kSymlink:
      return '2';
    case EntryType::kCharDevice:
      return '3';
    case EntryType::kBlockDevice:
      return '4';
    case EntryType::kDirectory:
      return '5';
    case EntryType::kFifo:
      return '6';
  }
  throw Error(ErrorCode::kHost, "internal: unknown entry type");
}

// Where to cut `path` into ustar's prefix and name: at the last slash that
// leaves a prefix of at most 155 bytes, when the rest fits.
std::optional<size_t> SplitForUstar(std::string_view path) {
  if (!IsAscii(path)) return std::nullopt;
  const size_t last = std::min(path.size() - 1, kPrefix.size + 1);
  // A directory's own final slash is not a place to cut.
  const size_t slash = path.substr(0, last).rfind('/');
  if (slash == std::string_view::npos || slash == 0) return std::nullopt;
  if (path.size() - slash - 1 > kName.size) return std::nullopt;
  return slash;
}

// For the ustar field when a PAX record holds the real text: never empty,
// because old readers take an empty name for the end of the archive.
std::string AsciiStandIn(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) c = '_';
  }
  return text;
}

void PutPath(const std::string& path, Header* header, PaxRecords* records) {
  if (path.size() <= kName.size && IsAscii(path)) {
    header->PutText(kName, path);
  } else if (const auto slash = SplitForUstar(path)) {
    header->PutText(kPrefix, std::string_view(path).substr(0, *slash));
    header->PutText(kName, std::string_view(path).substr(*slash + 1));
  } else {
    header->PutText(kName, AsciiStandIn(path));
    records->emplace("path", path);
  }
}

void PutNumber(Field field, int64_t value, const char* key, Header* header,
               PaxRecords* records) {
  if (value >= 0 && static_cast<uint64_t>(value) <= MaxOctal(field)) {
    header->PutOctal(field, static_cast<uint64_t>(value));
    return;
  }
  header->PutOctal(field, 0);
  records->emplace(key, std::to_string(value));
}

// "LENGTH KEY=VALUE\n", where LENGTH counts its own digits.
std::string EncodeRecord(const std::string& key, const std::string& value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest;
  while (length != rest + std::to_string(length).size()) {
    length = rest + std::to_string(length).size();
  }
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

void Pad(std::string* out) { out->append(PaddingAfter(out->size()), '\0'); }

std::string EncodePax(const PaxRecords& records) {
  std::string body;
  for (const auto& [key, value] : records) body += EncodeRecord(key, value);
  Header header;
  header.PutText(kName, "././@PaxHeader");
  header.PutOctal(kMode, 0644);
  header.PutOctal(kUid, 0);
  header.PutOctal(kGid, 0);
  header.PutOctal(kSize, body.size());
  header.PutOctal(kMtime, 0);
  header.PutType('x');
  header.PutOctal(kDevMajor, 0);
  header.PutOctal(kDevMinor, 0);
  std::string out = header.Finish() + body;
  Pad(&out);
  return out;
}

void AddXattrs(const Entry& entry, PaxRecords* records) {
  for (const auto& [key, value] : entry.xattrs) {
    if (key.find('=') != std::string::npos) {
      throw Error(ErrorCode::kHost, Quoted(entry.path) +
                                        ": extended attribute " + Quoted(key) +
                                        " cannot be stored in a layer");
    }
    records->emplace("SCHILY.xattr." + key, value);
  }
}

}  // namespace

std::string EncodeHeader(const Entry& entry) {
  Header header;
  PaxRecords records;
  const bool directory = entry.type == EntryType::kDirectory;
  PutPath(directory ? entry.path + "/" : entry.path, &header, &records);
  if (!entry.link_target.empty()) {
    if (entry.link_target.size() <= kLinkName.size &&
        IsAscii(entry.link_target)) {
      header.PutText(kLinkName, entry.link_target);
    } else {
      header.PutText(kLinkName, AsciiStandIn(entry.link_target));
      records.emplace("linkpath", entry.link_target);
    }
  }
  header.PutOctal(kMode, entry.mode & 07777);
  PutNumber(kUid, entry.uid, "uid", &header, &records);
  PutNumber(kGid, entry.gid, "gid", &header, &records);
  const uint64_t size = entry.type == EntryType::kFile ? entry.size : 0;
  PutNumber(kSize, static_cast<int64_t>(size), "size", &header, &records);
  PutNumber(kMtime, entry.mtime_s, "mtime", &header, &records);
  header.PutType(TypeFlag(entry.type));
  PutNumber(kDevMajor, entry.dev_major, "SCHILY.devmajor", &header, &records);
  PutNumber(kDevMinor, entry.dev_minor, "SCHILY.devminor", &header, &records);
  AddXattrs(entry, &records);
  const std::string ustar = header.Finish();
  return records.empty() ? ustar : EncodePax(records) + ustar;
}

}  // namespace imgbuild::layer
