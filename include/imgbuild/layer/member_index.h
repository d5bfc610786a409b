// What is known of a compressed layer, member by member: which entries each
// one holds and the digest of its part of the tar. A layer that is written
// later takes over the members that it has in common with an earlier one
// instead of compressing them again.
#ifndef IMGBUILD_LAYER_MEMBER_INDEX_H_
#define IMGBUILD_LAYER_MEMBER_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "imgbuild/layer/entry.h"
#include "imgbuild/oci/manifest.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild::layer {

// One member of a blob.
struct MemberRecord {
  // Which bytes it decompresses to: their sha256 in hex, or "recipe:" and what
  // MemberRecipe made of the entries.
  std::string identity;
  uint64_t tar_size = 0;  // how many those are
  uint64_t offset = 0;    // where it begins in the blob
  uint64_t size = 0;      // and how long it is there
  uint32_t crc32 = 0;     // of its bytes in the blob
  std::string entries;    // what begins or goes on in it, see AppendEntry()
  // State of the tar's SHA-256 at the member's end; may be "".
  std::string tar_state;
};

// One line of MemberRecord::entries.
struct MemberEntry {
  EntryType type = EntryType::kFile;
  std::string path;
  // 0: the entry begins here; else how many bytes of it come before.
  uint64_t continued_at = 0;
};

// type (one byte), LEB128 continued_at, LEB128 length of the path, the path.
void AppendEntry(EntryType type, std::string_view path, uint64_t continued_at,
                 std::string* entries);
// nullopt: not what AppendEntry() wrote.
std::optional<std::vector<MemberEntry>> ReadEntries(std::string_view entries);

// Of a whole blob, in its order. As bytes (numbers LEB128):
//   "IMGM" 2 | length encoder | n | n x (length identity, tar_size, size,
//   crc32, length entries, length tar_state)
// `encoder` names compression, level and library version: members of another
// one are not the bytes that this program would write.
struct MemberIndex {
  std::vector<MemberRecord> members;

  std::string Encode(oci::Compression compression) const;
  // nullopt: damaged, or written by another encoder. Never throws: whoever has
  // no index only works longer.
  static std::optional<MemberIndex> Decode(std::string_view bytes,
                                           oci::Compression compression);
};

// An earlier blob to take members from. Thread-safe once made.
class ReusableBlob {
 public:
  // `blob` is open for reading.
  ReusableBlob(MemberIndex index, UniqueFd blob);
  // The member that decompresses to these bytes; nullptr when there is none.
  const MemberRecord* Find(const std::string& identity) const;
  // Reads a member's bytes to `out` (member.size of them). False when they are
  // not what the index says.
  bool Read(const MemberRecord& member, std::byte* out) const;
  const std::vector<MemberRecord>& members() const { return index_.members; }

 private:
  const MemberIndex index_;
  const UniqueFd blob_;
  std::unordered_map<std::string_view, size_t> by_identity_;
};

}  // namespace imgbuild::layer

#endif  // IMGBUILD_LAYER_MEMBER_INDEX_H_
