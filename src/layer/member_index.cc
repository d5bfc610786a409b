#include "imgbuild/layer/member_index.h"

#include <libdeflate.h>
#include <unistd.h>
#include <zstd.h>

#include <cerrno>
#include <utility>

#include "imgbuild/layer/layer_writer.h"
#include "imgbuild/oci/resumable_sha256.h"
namespace imgbuild::layer {
namespace {

constexpr std::string_view kMagic = "IMGM\x02";
// A file of the largest layer that is worth it has a few thousand members.
constexpr uint64_t kMaxMembers = 10'000'000;
constexpr uint64_t kMaxMember = uint64_t{1} << 32;
// Of one record, all of its numbers and lengths.
constexpr size_t kMaxNumbers = 64;

void AppendNumber(uint64_t value, std::string* out) {
  for (; value >= 0x80; value >>= 7) {
    out->push_back(static_cast<char>(value | 0x80));
  }
  out->push_back(static_cast<char>(value));
}

void AppendText(std::string_view text, std::string* out) {
  AppendNumber(text.size(), out);
  out->append(text);
}

// Takes values from the front. After the first that is not there everything
// fails.
class Scanner {
 public:
  explicit Scanner(std::string_view bytes) : left_(bytes) {}

  bool ok() const { return ok_; }
  bool AtEnd() const { return left_.empty(); }

  std::string_view Take(uint64_t size) {
    if (!ok_ || size > left_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view taken = left_.substr(0, size);
    left_.remove_prefix(size);
    return taken;
  }
  uint64_t Number() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::string_view byte = Take(1);
      if (!ok_) return 0;
      const auto bits = static_cast<unsigned char>(byte[0]);
      value |= uint64_t{bits & 0x7Fu} << shift;
      if (bits < 0x80) return value;
    }
    ok_ = false;
    return 0;
  }
  std::string_view Text() { return Take(Number()); }

 private:
  std::string_view left_;
  bool ok_ = true;
};

std::string EncoderName(oci::Compression compression) {
  std::string name = "format " + std::to_string(kLayerFormat);
  if (compression == oci::Compression::kGzip) {
    name += " gzip " + std::to_string(kGzipLevel) + " libdeflate ";
    name += LIBDEFLATE_VERSION_STRING;
  } else {
    name += " zstd " + std::to_string(kZstdLevel) + " libzstd ";
    name += ZSTD_VERSION_STRING;
  }
  return name;
}

}  // namespace

void AppendEntry(EntryType type, std::string_view path, uint64_t continued_at,
                 std::string* entries) {
  entries->push_back(static_cast<char>(type));
  AppendNumber(continued_at, entries);
  AppendText(path, entries);
}

std::optional<std::vector<MemberEntry>> ReadEntries(std::string_view entries) {
  std::vector<MemberEntry> list;
  Scanner scanner(entries);
  while (scanner.ok() && !scanner.AtEnd()) {
    MemberEntry entry;
    const std::string_view type = scanner.Take(1);
    entry.continued_at = scanner.Number();
    entry.path = scanner.Text();
    if (!scanner.ok() || static_cast<unsigned char>(type[0]) >
                             static_cast<unsigned char>(EntryType::kFifo)) {
      return std::nullopt;
    }
    entry.type = static_cast<EntryType>(type[0]);
    list.push_back(std::move(entry));
  }
  if (!scanner.ok()) return std::nullopt;
  return list;
}

std::string MemberIndex::Encode(oci::Compression compression) const {
  // Names of a million files: growing by doubling would take twice the room.
  size_t size = 0;
  for (const MemberRecord& member : members) {
    size += member.identity.size() + member.entries.size() +
            member.tar_state.size() + kMaxNumbers;
  }
  std::string out;
  out.reserve(size + 2 * kMaxNumbers);
  out += kMagic;
  AppendText(EncoderName(compression), &out);
  AppendNumber(members.size(), &out);
  for (const MemberRecord& member : members) {
    AppendText(member.identity, &out);
    AppendNumber(member.tar_size, &out);
    AppendNumber(member.size, &out);
    AppendNumber(member.crc32, &out);
    AppendText(member.entries, &out);
    AppendText(member.tar_state, &out);
  }
  return out;
}

std::optional<MemberIndex> MemberIndex::Decode(std::string_view bytes,
                                               oci::Compression compression) {
  Scanner scanner(bytes);
  if (scanner.Take(kMagic.size()) != kMagic ||
      scanner.Text() != EncoderName(compression)) {
    return std::nullopt;
  }
  const uint64_t count = scanner.Number();
  if (count > kMaxMembers) return std::nullopt;
  MemberIndex index;
  uint64_t offset = 0;
  for (uint64_t i = 0; i < count && scanner.ok(); ++i) {
    MemberRecord member;
    member.identity = scanner.Text();
    member.tar_size = scanner.Number();
    member.size = scanner.Number();
    member.crc32 = static_cast<uint32_t>(scanner.Number());
    member.entries = scanner.Text();
    member.tar_state = scanner.Text();
    member.offset = offset;
    // No member is larger than its writer's memory.
    if (member.size > kMaxMember || member.tar_size > kMaxMember ||
        (!member.tar_state.empty() &&
         member.tar_state.size() != oci::ResumableSha256::kStateBytes)) {
      return std::nullopt;
    }
    offset += member.size;
    index.members.push_back(std::move(member));
  }
  if (!scanner.ok() || !scanner.AtEnd()) return std::nullopt;
  return index;
}

ReusableBlob::ReusableBlob(MemberIndex index, UniqueFd blob)
    : index_(std::move(index)), blob_(std::move(blob)) {
  for (size_t i = 0; i < index_.members.size(); ++i) {
    by_identity_.emplace(index_.members[i].identity, i);
  }
}

const MemberRecord* ReusableBlob::Find(const std::string& identity) const {
  const auto it = by_identity_.find(identity);
  return it == by_identity_.end() ? nullptr : &index_.members[it->second];
}

bool ReusableBlob::Read(const MemberRecord& member, std::byte* out) const {
  uint64_t done = 0;
  while (done < member.size) {
    const ssize_t n = ::pread(blob_.get(), out + done, member.size - done,
                              static_cast<off_t>(member.offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<uint64_t>(n);
  }
  return libdeflate_crc32(0, out, member.size) == member.crc32;
}

}  // namespace imgbuild::layer
