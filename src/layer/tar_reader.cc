#include "imgbuild/layer/tar_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <string_view>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "layer/libarchive_input.h"

namespace imgbuild::layer {
namespace {

constexpr std::string_view kWhat = "tar";

Error Malformed(const std::string& text) {
  return Error(ErrorCode::kRegistry, "tar: " + text);
}

std::string TextOrEmpty(const char* text) { return text ? text : ""; }

// (uid_t)-1 means "leave as it is" to chown, so it is nobody's id.
uint32_t ToId(int64_t value, std::string_view kind, const std::string& path) {
  if (value < 0 || value >= std::numeric_limits<uint32_t>::max()) {
    throw Malformed(Quoted(path) + ": " + std::string(kind) + " " +
                    std::to_string(value) + " is out of range");
  }
  return static_cast<uint32_t>(value);
}

EntryType TypeOf(struct archive_entry* raw, const std::string& path) {
  if (archive_entry_hardlink(raw) != nullptr) return EntryType::kHardLink;
  switch (archive_entry_filetype(raw)) {
    case AE_IFREG:
      return EntryType::kFile;
    case AE_IFDIR:
      return EntryType::kDirectory;
    case AE_IFLNK:
      return EntryType::kSymlink;
    case AE_IFCHR:
      return EntryType::kCharDevice;
    case AE_IFBLK:
      return EntryType::kBlockDevice;
    case AE_IFIFO:
      return EntryType::kFifo;
    default:
      throw Malformed(Quoted(path) + ": unknown entry type");
  }
}

// libarchive warns where it wanted to show a name in the locale's characters
// and could not; it then hands out the raw bytes, which is what we want. Any
// other warning means that it dropped something.
bool IsCharsetWarning(struct archive* handle) {
  const char* const text = archive_error_string(handle);
  return text != nullptr && std::strstr(text, "can't be converted") != nullptr;
}

}  // namespace

struct TarReader::Impl {
  Impl(Reader& reader, const TarLimits& the_limits)
      : input(reader), limits(the_limits) {}

  // Deferred to the first use: opening reads ahead.
  void Open() {
    if (opened) return;
    opened = true;
    if (input.Empty()) {
      ended = true;
      return;
    }
    handle.reset(archive_read_new());
    if (!handle) throw std::bad_alloc();
    // A parser of tar and of nothing else: no filters, no other formats.
    archive_read_support_filter_none(handle.get());
    archive_read_support_format_tar(handle.get());
    input.Open(handle.get(), kWhat);
  }

  std::optional<Entry> Next() {
    Open();
    if (ended) return std::nullopt;
    struct archive_entry* raw = nullptr;
    const int result = archive_read_next_header(handle.get(), &raw);
    if (result == ARCHIVE_EOF) {
      ended = true;
      input.Drain();
      return std::nullopt;
    }
    if (result != ARCHIVE_OK &&
        !(result == ARCHIVE_WARN && IsCharsetWarning(handle.get()))) {
      input.Throw(handle.get(), kWhat);
    }
    position = 0;
    pending = {};
    member_ended = false;
    return Convert(raw);
  }

  Entry Convert(struct archive_entry* raw) {
    Entry entry;
    entry.path = TextOrEmpty(archive_entry_pathname(raw));
    CheckLength(entry.path, "name");
    entry.type = TypeOf(raw, entry.path);
    if (entry.type == EntryType::kHardLink) {
      entry.link_target = TextOrEmpty(archive_entry_hardlink(raw));
    } else if (entry.type == EntryType::kSymlink) {
      entry.link_target = TextOrEmpty(archive_entry_symlink(raw));
    }
    CheckLength(entry.link_target, "link target");
    entry.mode = archive_entry_perm(raw) & 07777;
    entry.uid = ToId(archive_entry_uid(raw), "uid", entry.path);
    entry.gid = ToId(archive_entry_gid(raw), "gid", entry.path);
    entry.mtime_s = archive_entry_mtime(raw);
    const long nanoseconds = archive_entry_mtime_nsec(raw);
    entry.mtime_ns = nanoseconds < 0 || nanoseconds > 999'999'999
                         ? 0
                         : static_cast<uint32_t>(nanoseconds);
    if (entry.type == EntryType::kCharDevice ||
        entry.type == EntryType::kBlockDevice) {
      entry.dev_major = static_cast<uint32_t>(archive_entry_rdevmajor(raw));
      entry.dev_minor = static_cast<uint32_t>(archive_entry_rdevminor(raw));
    }
    if (entry.type == EntryType::kFile) {
      const int64_t size = archive_entry_size(raw);
      if (size < 0) throw Malformed(Quoted(entry.path) + ": negative size");
      entry.size = static_cast<uint64_t>(size);
    }
    member_size = entry.size;
    whole_file =
        entry.type == EntryType::kFile && archive_entry_sparse_count(raw) == 0;
    ReadXattrs(raw, &entry);
    Count(entry);
    return entry;
  }

  void CheckLength(const std::string& text, const char* what) const {
    if (text.size() <= limits.max_path_bytes) return;
    throw Malformed(std::string("a ") + what + " of " +
                    std::to_string(text.size()) + " bytes, the limit is " +
                    std::to_string(limits.max_path_bytes));
  }

  void ReadXattrs(struct archive_entry* raw, Entry* entry) const {
    archive_entry_xattr_reset(raw);
    const char* key = nullptr;
    const void* value = nullptr;
    size_t size = 0;
    size_t total = 0;
    while (archive_entry_xattr_next(raw, &key, &value, &size) == ARCHIVE_OK) {
      if (key == nullptr || *key == '\0') continue;
      const std::string_view name = key;
      if (name.size() + size > limits.max_xattr_bytes - total) {
        throw Malformed(Quoted(entry->path) + ": more than " +
                        std::to_string(limits.max_xattr_bytes) +
                        " bytes of extended attributes");
      }
      total += name.size() + size;
      // libarchive lists the last one of a repeated key first: it stays.
      entry->xattrs.try_emplace(std::string(name),
                                static_cast<const char*>(value), size);
    }
  }

  void Count(const Entry& entry) {
    if (++entries > limits.max_entries) {
      throw Malformed("more than " + std::to_string(limits.max_entries) +
                      " entries");
    }
    if (entry.size > limits.max_total_bytes - total_bytes) {
      throw Malformed("more than " + std::to_string(limits.max_total_bytes) +
                      " bytes of file data");
    }
    total_bytes += entry.size;
  }

  std::optional<Block> ReadBlock() {
    if (!handle || ended || member_ended) return std::nullopt;
    while (true) {
      const void* data = nullptr;
      size_t size = 0;
      la_int64_t offset = 0;
      const int result =
          archive_read_data_block(handle.get(), &data, &size, &offset);
      if (result == ARCHIVE_EOF) {
        member_ended = true;
        return std::nullopt;
      }
      if (result != ARCHIVE_OK) input.Throw(handle.get(), kWhat);
      if (size == 0) continue;
      const auto begin = static_cast<uint64_t>(offset);
      if (offset < 0 || begin > member_size || size > member_size - begin) {
        throw Malformed("data beyond the size of its entry");
      }
      return Block{{static_cast<const std::byte*>(data), size}, begin};
    }
  }

  size_t Read(std::span<std::byte> buffer) {
    if (buffer.empty()) return 0;
    if (pending.bytes.empty() && !member_ended) {
      if (auto block = ReadBlock()) pending = *block;
    }
    const uint64_t data_at =
        pending.bytes.empty() ? member_size : pending.offset;
    size_t n = 0;
    if (position < data_at) {  // a hole
      n = static_cast<size_t>(
          std::min<uint64_t>(buffer.size(), data_at - position));
      std::memset(buffer.data(), 0, n);
    } else {
      n = std::min(buffer.size(), pending.bytes.size());
      if (n > 0) std::memcpy(buffer.data(), pending.bytes.data(), n);
      pending.bytes = pending.bytes.subspan(n);
      pending.offset += n;
    }
    position += n;
    return n;
  }

  std::optional<uint64_t> DataOffset() const {
    if (!whole_file) return std::nullopt;
    // What the format reader has taken of its input: the headers so far.
    return static_cast<uint64_t>(archive_filter_bytes(handle.get(), 0));
  }

  LibarchiveInput input;
  TarLimits limits;
  ArchiveHandle handle;
  bool whole_file = false;
  bool opened = false;
  bool ended = false;
  uint64_t entries = 0;
  uint64_t total_bytes = 0;
  // Of the current member.
  uint64_t member_size = 0;
  uint64_t position = 0;
  Block pending;
  bool member_ended = true;
};

TarReader::TarReader(Reader& input, const TarLimits& limits)
    : impl_(std::make_unique<Impl>(input, limits)) {}
TarReader::~TarReader() = default;

std::optional<Entry> TarReader::Next() { return impl_->Next(); }
size_t TarReader::Read(std::span<std::byte> buffer) {
  return impl_->Read(buffer);
}
std::optional<uint64_t> TarReader::DataOffset() const {
  return impl_->DataOffset();
}
std::optional<TarReader::Block> TarReader::ReadBlock() {
  return impl_->ReadBlock();
}

}  // namespace imgbuild::layer
